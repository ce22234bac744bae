/** From what a browser reports about a device to the sentence that helps. Pure. */

export type DeviceKind = "mic" | "camera" | "screen";

/** Why a device gives nothing. */
export type DeviceFault = "denied" | "missing" | "busy" | "unplugged" | "insecure" | "failed";

export type Browser = "chrome" | "edge" | "firefox" | "safari" | "ios" | "android" | "other";

/** Names an exception of `getUserMedia` or `getDisplayMedia`. */
export function deviceFault(errorName: string): DeviceFault {
  switch (errorName) {
    case "NotAllowedError":
    case "PermissionDeniedError":
      return "denied";
    case "SecurityError":
    case "TypeError":
      return "insecure";
    case "NotFoundError":
    case "OverconstrainedError":
    case "DevicesNotFoundError":
      return "missing";
    case "NotReadableError":
    case "AbortError":
    case "TrackStartError":
      return "busy";
    default:
      return "failed";
  }
}

/** Which browser's instructions apply. */
export function browserOf(userAgent: string): Browser {
  if (/iPhone|iPad|iPod/.test(userAgent)) return "ios";
  if (/Android/.test(userAgent)) return "android";
  if (/Edg\//.test(userAgent)) return "edge";
  if (/Firefox\//.test(userAgent)) return "firefox";
  if (/Chrome\/|Chromium\//.test(userAgent)) return "chrome";
  if (/Safari\//.test(userAgent)) return "safari";
  return "other";
}
