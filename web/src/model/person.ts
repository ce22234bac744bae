/** People and their pictures, as the rest of the client sees them. No media library leaks through these types. */

/** A picture that can be shown in a video element. The stage attaches it once per tile and detaches it when it goes. */
export interface VideoFeed {
  attach(element: HTMLVideoElement): void;
  detach(element: HTMLVideoElement): void;
}

export type VideoSource = "camera" | "screen";

export interface Picture {
  /** Changes when the track behind the picture changes, and only then. */
  id: string;
  source: VideoSource;
  /** Not sent to us now, because our connection has no room for it. */
  paused: boolean;
  feed: VideoFeed;
}

export interface Person {
  identity: string;
  name: string;
  /** Name and label of the node this person is connected to; null while unknown. */
  node: string | null;
  region: string | null;
  self: boolean;
  micOn: boolean;
  /** Pictures that are being sent now; a camera that is switched off is absent. */
  pictures: Picture[];
}

/** One or two letters that stand for a name where no picture is shown. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  const first = [...(words[0] ?? "")][0] ?? "?";
  const last = words.length > 1 ? ([...(words[words.length - 1] ?? "")][0] ?? "") : "";
  return (first + last).toLocaleUpperCase();
}

/** Number of quiet hues the tokens define for name cards. */
export const NAME_HUES = 6;

/** Which of the quiet hues belongs to an identity: stable for it, in `0..NAME_HUES`. */
export function nameHue(identity: string): number {
  let sum = 2166136261;
  for (const char of identity) sum = Math.imul(sum ^ (char.codePointAt(0) ?? 0), 16777619) >>> 0;
  return sum % NAME_HUES;
}
