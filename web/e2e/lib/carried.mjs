/**
 * What the links between nodes carry, beside what the people at each node publish. Pages and nodes are read one after
 * the other, so everything is compared as a rate between two moments that each of them states or is asked at.
 */
import { carriedByLinks } from "./mesh.mjs";
import { seen } from "./picture.mjs";
import { pause } from "./until.mjs";

/** How often counting begins anew before the links are taken for unsteady. */
const MOST_COUNTS = 5;

/**
 * Counts for `forMs` and answers for each directed link: packets a second that each person at its first node publishes
 * (picture and all), datagrams a second it carries per stream and in all, how many tracks carried something; and bytes a
 * second published there (RTP with headers) and seen on the wire by the emulator (UDP payload of everything).
 *
 * Counters are those of one connection. Where a link was made anew meanwhile, as a machine short of processors can
 * bring about, that count says nothing: it is told and begun anew.
 */
export async function carriedOnLinks(mesh, people, forMs) {
  for (let count = 1; count <= MOST_COUNTS; count++) {
    const before = await snapshot(mesh, people);
    await pause(forMs);
    const later = await snapshot(mesh, people);
    const pairs = directed(mesh);
    const renewed = pairs.filter(({ from, to }) => !isSameLink(before.feeds[from], later.feeds[from], to));
    if (renewed.length === 0) return pairs.map(({ from, to }) => onLink(from, to, before, later));
    console.log(`count ${count} is void: links made anew: ${renewed.map(({ from, to }) => `${from} to ${to}`).join(", ")}`);
  }
  throw new Error(`links were made anew during each of ${MOST_COUNTS} counts of ${forMs} ms`);
}

const directed = ({ nodes }) => Object.keys(nodes).flatMap((from) => Object.keys(nodes).flatMap((to) => (to === from ? [] : [{ from, to }])));

function isSameLink(before, later, to) {
  const [first, second] = [peerOf(before, to).link, peerOf(later, to).link];
  return first !== null && first === second;
}

/**
 * Over which links what is published on one node comes to another, as the trees lead it, with its streams there. Somebody who
 * left and came back has tracks of before on the list, which carry nothing any more.
 */
export function waysOf(links, origin, to) {
  return links
    .filter((link) => link.to === to)
    .map((link) => ({ link, streams: link.streams.filter((each) => each.origin === origin && each.rate > 0) }))
    .filter(({ streams }) => streams.length > 0);
}

/** Sid of the picture that a page shows of each sender (number of the sender to sid). */
export async function pictureSids(page) {
  const { senders } = await seen(page);
  const tracks = await page.evaluate(() => window.__connections.remoteTracks());
  return new Map(senders.map(({ id, track }) => [id, tracks.find((each) => each.track === track)?.sid]));
}

async function snapshot(mesh, people) {
  const sent = await Promise.all(people.map(async (person) => ({ id: person.id, node: await person.node(), rows: await outbound(person.page) })));
  const feeds = {};
  for (const name of Object.keys(mesh.nodes)) feeds[name] = { ...(await mesh.feed(name)), atMs: Date.now() };
  const wires = { ...(await carriedByLinks(mesh)), atMs: Date.now() };
  return { sent, feeds, wires };
}

/** RTP packets a page has sent so far, by stream; each row says when it was read. */
async function outbound(page) {
  const rows = await page.evaluate(() => window.__connections.outbound());
  return rows.map((row) => ({
    id: row.id,
    kind: row.kind,
    packets: row.packetsSent,
    bytes: row.bytesSent + row.headerBytesSent,
    atMs: row.timestamp,
  }));
}

const perSecond = (count, ms) => (count * 1000) / ms;

function onLink(from, to, before, later) {
  const publishers = before.sent.flatMap((each, at) => (each.node === from ? [published(each, later.sent[at])] : []));
  const streams = carried(before.feeds[from], later.feeds[from], to);
  const sum = (list, rate) => list.reduce((total, each) => total + rate(each), 0);
  return {
    from,
    to,
    publishers,
    streams,
    published: sum(publishers, (each) => each.all),
    publishedBytes: sum(publishers, (each) => each.bytes),
    wireBytes: onWire(before.wires, later.wires, from, to),
  };
}

function published(before, later) {
  const rates = later.rows.flatMap((row) => {
    const earlier = before.rows.find((each) => each.id === row.id);
    if (!earlier) return [];
    const ms = row.atMs - earlier.atMs;
    return [{ kind: row.kind, packets: perSecond(row.packets - earlier.packets, ms), bytes: perSecond(row.bytes - earlier.bytes, ms) }];
  });
  const sum = (some, what) => some.reduce((total, each) => total + each[what], 0);
  const pictures = rates.filter((each) => each.kind === "video");
  return { id: before.id, video: sum(pictures, "packets"), all: sum(rates, "packets"), bytes: sum(rates, "bytes") };
}

function carried(before, later, to) {
  const keyed = new Map(streamsOf(before, to).map((each) => [`${each.track}/${each.layer}`, each.datagrams]));
  return streamsOf(later, to).map(({ track, origin, layer, datagrams }) => ({
    track,
    origin,
    layer,
    rate: perSecond(datagrams - (keyed.get(`${track}/${layer}`) ?? 0), later.atMs - before.atMs),
  }));
}

function onWire(before, later, from, to) {
  const bytes = ({ links }) => links.find((each) => each.from === from && each.to === to).delivered.bytes;
  return perSecond(bytes(later) - bytes(before), later.atMs - before.atMs);
}

const streamsOf = (feed, to) => peerOf(feed, to).streams;

function peerOf(feed, to) {
  const peer = feed.peers.find((each) => each.node === to);
  if (!peer) throw new Error(`node ${feed.node} does not list ${to} as a peer`);
  return peer;
}
