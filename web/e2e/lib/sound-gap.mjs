/** How much of somebody's sound a browser had to make up because it did not arrive in time. */
import { seen } from "./picture.mjs";

/** What a page has received of the sound of the sender with this picture: packets, samples, samples made up, on which track. */
export async function soundOf(page, id) {
  const { senders } = await seen(page);
  const tracks = await page.evaluate(() => window.__connections.remoteTracks());
  const picture = tracks.find((each) => each.track === senders.find((sender) => sender.id === id)?.track);
  const sound = tracks.find((each) => each.kind === "audio" && each.owner === picture?.owner);
  if (!sound) throw new Error(`no sound belongs to the picture of ${id}: ${JSON.stringify(tracks)}`);
  const rows = await page.evaluate(() => window.__connections.inbound());
  const row = rows.find((each) => each.kind === "audio" && each.trackIdentifier === sound.track);
  return { packets: row.packetsReceived, samples: row.totalSamplesReceived, madeUp: row.concealedSamples, sid: sound.sid, track: sound.track };
}

/** Seconds of sound made up between two readings, and the packets that came meanwhile. */
export function madeUpBetween(before, later) {
  const SAMPLES_PER_SECOND = 48_000;
  return { seconds: (later.madeUp - before.madeUp) / SAMPLES_PER_SECOND, packets: later.packets - before.packets };
}
