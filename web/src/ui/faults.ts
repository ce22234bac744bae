/** The sentence that tells how to get a device back, for this browser. */
import { type MessageKey, t } from "../i18n";
import { browserOf, type DeviceFault, type DeviceKind } from "../model/permission";

export function fixFor(device: DeviceKind, fault: DeviceFault): string {
  return t(fixKey(device, fault));
}

function fixKey(device: DeviceKind, fault: DeviceFault): MessageKey {
  if (fault === "denied") return `fault.denied.${browserOf(navigator.userAgent)}`;
  if (fault === "missing") return `fault.missing.${device}`;
  return `fault.${fault}`;
}
