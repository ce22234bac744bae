/** What the links between nodes carry, beside what the people at each node publish. */
import { pause } from "./until.mjs";

/**
 * Counts for `forMs` and answers for each directed link: packets published by the people of its first node, media
 * datagrams it carried for them, and how many tracks these belong to.
 */
export async function carriedOnLinks(mesh, people, forMs) {
  const before = await snapshot(mesh, people);
  await pause(forMs);
  const later = await snapshot(mesh, people);
  const names = Object.keys(mesh.nodes);
  return names.flatMap((from) => names.filter((to) => to !== from).map((to) => onLink(from, to, before, later)));
}

async function snapshot(mesh, people) {
  const sent = await Promise.all(people.map(async (person) => ({ node: await person.node(), packets: await published(person.page) })));
  const feeds = {};
  for (const name of Object.keys(mesh.nodes)) feeds[name] = await mesh.feed(name);
  return { sent, feeds };
}

/** RTP packets a page has sent so far. */
async function published(page) {
  const rows = await page.evaluate(() => window.__connections.outbound());
  return rows.reduce((sum, row) => sum + row.packetsSent, 0);
}

function onLink(from, to, before, later) {
  const packetsAt = ({ sent }) => sent.filter((each) => each.node === from).reduce((sum, each) => sum + each.packets, 0);
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
    packets: packetsAt(later) - packetsAt(before),
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
