/** How a troubled connection is told: three calm stages by the time that has passed. Pure. */

/** What the session last reported. */
export type LinkState =
  | { kind: "connecting" }
  | { kind: "up"; node: string; region: string; movedFrom: string | null }
  | { kind: "down"; node: string; sinceMs: number; through: string | null; nodeReachable: boolean | null }
  | { kind: "ended"; reason: EndReason };

export type EndReason = "left" | "removed" | "room_closed" | "duplicate" | "gave_up" | "failed";

/** The stage shown to people. `connected` also covers the first moment of a loss, which often heals unseen. */
export type Stage = "connecting" | "connected" | "unstable" | "reconnecting" | "lost";

const UNSTABLE_AFTER_MS = 1_000;
const RECONNECTING_AFTER_MS = 4_000;
const LOST_AFTER_MS = 15_000;

/** The stage of a link at a moment. */
export function stageOf(link: LinkState, nowMs: number): Stage {
  if (link.kind === "connecting") return "connecting";
  if (link.kind === "up") return "connected";
  if (link.kind === "ended") return "lost";
  const elapsed = nowMs - link.sinceMs;
  if (elapsed >= LOST_AFTER_MS) return "lost";
  if (link.through !== null || elapsed >= RECONNECTING_AFTER_MS) return "reconnecting";
  return elapsed >= UNSTABLE_AFTER_MS ? "unstable" : "connected";
}

/** Milliseconds until the stage of a link changes by time alone; null if it does not. */
export function nextStageInMs(link: LinkState, nowMs: number): number | null {
  if (link.kind !== "down") return null;
  const elapsed = nowMs - link.sinceMs;
  const next = [UNSTABLE_AFTER_MS, RECONNECTING_AFTER_MS, LOST_AFTER_MS].find((limit) => limit > elapsed);
  return next === undefined ? null : next - elapsed;
}
