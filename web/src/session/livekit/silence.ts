/**
 * Notices that something comes, and that nothing comes any more. A node that loses its power closes no connection; the browser finds out after
 * ten seconds or more. Packets tell sooner: while somebody sends, some arrive every second.
 */
import { type RemoteTrack, type Room, Track } from "livekit-client";

const LOOK_EVERY_MS = 1_000;

/** Looks without a single new packet after which silence is reported, and again as often while it lasts. */
const SILENT_LOOKS = 2;

/** Tracks that are looked at; more would only cost more. Sound comes first, for it is never paused for its size. */
const MOST_TRACKS = 4;

/** Calls `silent` whenever nothing has come for two seconds, until the returned function is called. */
export function watchSilence(room: Room, silent: () => void): () => void {
  let packets = new Map<string, number>();
  let looks = 0;
  const timer = setInterval(async () => {
    const now = await packetsReceived(room);
    const watched = [...now].filter(([sid]) => packets.has(sid));
    const came = watched.length === 0 || watched.some(([sid, count]) => count !== packets.get(sid));
    packets = now;
    looks = came ? 0 : looks + 1;
    if (looks > 0 && looks % SILENT_LOOKS === 0) silent();
  }, LOOK_EVERY_MS);
  return () => clearInterval(timer);
}

const LOOK_FOR_SOUND_EVERY_MS = 40;

/** Resolves once packets of all sounds there should be have come, at once where there are none, after `withinMs` anyhow. */
export async function soundFlows(room: Room, withinMs: number): Promise<void> {
  const untilMs = performance.now() + withinMs;
  while (performance.now() < untilMs && room.state !== "disconnected") {
    const packets = await packetsReceived(room);
    const heard = [...packets].filter(([sid, count]) => sid !== "" && count > 0).length;
    if (heard >= soundsSent(room)) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_FOR_SOUND_EVERY_MS));
  }
}

/** Sounds that others send, as many of them as are looked at. */
function soundsSent(room: Room): number {
  const sent = [...room.remoteParticipants.values()].flatMap((participant) =>
    [...participant.audioTrackPublications.values()].filter((publication) => !publication.isMuted),
  );
  return Math.min(sent.length, MOST_TRACKS);
}

/** Packets received so far, for each track that should be coming. */
async function packetsReceived(room: Room): Promise<Map<string, number>> {
  const counts = await Promise.all(
    awaited(room).map(async (track): Promise<[string, number]> => {
      const report = await track.getRTCStatsReport().catch(() => undefined);
      let received = 0;
      report?.forEach((row: { type: string; packetsReceived?: number }) => {
        if (row.type === "inbound-rtp") received += row.packetsReceived ?? 0;
      });
      return [track.sid ?? "", received];
    }),
  );
  return new Map(counts);
}

function awaited(room: Room): RemoteTrack[] {
  const tracks = [...room.remoteParticipants.values()].flatMap((participant) =>
    [...participant.trackPublications.values()].flatMap(({ track, isMuted }) => (track && !isMuted ? [track as RemoteTrack] : [])),
  );
  const sound = tracks.filter((track) => track.kind === Track.Kind.Audio);
  const shown = tracks.filter((track) => track.kind === Track.Kind.Video && track.attachedElements.some((element) => element.offsetParent !== null));
  return [...sound, ...shown].slice(0, MOST_TRACKS);
}
