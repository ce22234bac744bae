/** What the links between nodes carry, beside what the people at each node publish. */
import { seen } from "./picture.mjs";
import { pause } from "./until.mjs";

/**
 * Counts for `forMs` and answers for each directed link: packets published by the people of its first node (each
 * one's picture and all), media datagrams it carried for them per stream and in all, and how many tracks these are.
 */
export async function carriedOnLinks(mesh, people, forMs) {
  const before = await snapshot(mesh, people);
  await pause(forMs);
  const later = await snapshot(mesh, people);
  const names = Object.keys(mesh.nodes);
  return names.flatMap((from) => names.filter((to) => to !== from).map((to) => onLink(from, to, before, later)));
}

async function snapshot(mesh, people) {
  const sent = await Promise.all(people.map(async (person) => ({ id: person.id, node: await person.node(), packets: await published(person.page) })));
  const feeds = {};
  for (const name of Object.keys(mesh.nodes)) feeds[name] = await mesh.feed(name);
  return { sent, feeds };
}

/** RTP packets a page has sent so far: of its picture, and in all. */
async function published(page) {
  const rows = await page.evaluate(() => window.__connections.outbound());
  const sum = (some) => some.reduce((packets, row) => packets + row.packetsSent, 0);
  return { video: sum(rows.filter((row) => row.kind === "video")), all: sum(rows) };
}

/** Sid of the picture that a page shows of each sender (number of the sender to sid). */
export async function pictureSids(page) {
  const { senders } = await seen(page);
  const tracks = await page.evaluate(() => window.__connections.remoteTracks());
  return new Map(senders.map(({ id, track }) => [id, tracks.find((each) => each.track === track)?.sid]));
}

function onLink(from, to, before, later) {
  const publishers = before.sent.flatMap((each, at) => {
    if (each.node !== from) return [];
    const { packets } = later.sent[at];
    return [{ id: each.id, video: packets.video - each.packets.video, all: packets.all - each.packets.all }];
  });
  const streamsAt = ({ feeds }) => new Map(streamsOf(feeds[from], to).map((each) => [`${each.track}/${each.layer}`, each]));
  const earlier = streamsAt(before);
  const streams = [...streamsAt(later)].map(([key, each]) => ({
    track: each.track,
    layer: each.layer,
    datagrams: each.datagrams - (earlier.get(key)?.datagrams ?? 0),
  }));
  return {
    from,
    to,
    publishers,
    packets: publishers.reduce((sum, each) => sum + each.all, 0),
    datagrams: streams.reduce((sum, each) => sum + each.datagrams, 0),
    tracks: new Set(streams.map((each) => each.track)).size,
    streams,
  };
}

function streamsOf(feed, to) {
  const peer = feed.peers.find((each) => each.node === to);
  if (!peer) throw new Error(`node ${feed.node} does not list ${to} as a peer`);
  return peer.streams;
}
