/** One meeting over three regions: six people, two per region, in real browsers, over links with the delays of real cables. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { startMesh } from "./lib/mesh.mjs";
import { CITIES, enter, keep, openPanel, reads, say } from "./lib/participant.mjs";
import { resultsFolder } from "./lib/paths.mjs";
import { knownSlice, occurring, readCapture } from "./lib/pcap.mjs";
import { measureGaps, seen, showsMoving } from "./lib/picture.mjs";
import { carriedOnLinks, pictureSids, waysOf } from "./lib/carried.mjs";
import { hears } from "./lib/tone.mjs";
import { until } from "./lib/until.mjs";

const PATIENCE_MS = 90_000;

/** How long streams are counted. */
const COUNT_FOR_MS = 15_000;

/** A stream carried once has ratio 1, repairs and moments of reading included; carried once per viewer it would be 2. */
const MOST_TIMES = 1.5;
const LEAST_TIMES = 0.5;

/** Headers, seals, pings and acknowledgements come on top; twice the media would come to more than 2. */
const MOST_GROWTH_ON_WIRE = 1.8;

/** The last one takes slices out of encoded frames. */
const PEOPLE = Object.keys(CITIES).map((city, at) => ({ city, id: at + 1, takeFrames: city === "auckland" }));
const LEAST_SLICES_PER_KIND = 24;
const CONTROL_BYTES = 24;

describe("one meeting over three regions", () => {
  const room = `meeting-${randomBytes(6).toString("hex")}`;
  const marker = `causeway-marker-${randomBytes(8).toString("hex")}`;
  const people = [];
  let results;
  let mesh;

  const othersOf = (person) => people.filter((each) => each !== person);
  const keepAll = () => Promise.all(people.map((person) => keep(person, results)));
  const idsOf = (some) => some.map((each) => each.id);

  before(async () => {
    results = await resultsFolder("meeting");
    mesh = await startMesh({ results, capture: true });
    for (const one of PEOPLE) people.push(await enter({ ...one, room, door: mesh.nodes.fra }));
  });

  after(async () => {
    if (mesh?.wan.isRunning()) await keepAll();
    await Promise.all(people.map((person) => person.leave()));
    await mesh?.stop();
  });

  it("everybody lands on the node nearest to their public address, whichever node they ask", async () => {
    for (const person of people) assert.equal(await person.node(), CITIES[person.city].node, person.name);
  });

  it("everybody decodes moving video of the five others, told by the picture", async () => {
    for (const person of people) {
      const senders = await showsMoving(person.page, person.name, idsOf(othersOf(person)), PATIENCE_MS);
      for (const other of othersOf(person)) {
        assert.equal(senders.get(other.id).name, other.name, `${person.name} must show each picture under the right name`);
      }
    }
  });

  it("everybody hears the tones of the five others", async () => {
    for (const person of people) await hears(person.page, person.name, idsOf(othersOf(person)), PATIENCE_MS);
  });

  it("a stream crosses a link once, although two people watch it at the other end", async () => {
    for (const person of people) await measureGaps(person.page);
    const links = await carriedOnLinks(mesh, people, COUNT_FOR_MS);
    for (const { from, to, publishers, published } of links) {
      const ways = waysOf(links, from, to);
      const over = ways.map(({ link }) => `${link.from} to ${link.to}`);
      assert.equal(ways.length, 1, `what is published on ${from} comes to ${to} over one link: ${over}`);
      const [{ streams }] = ways;
      const what = `${from} to ${to} (over ${over})`;
      const tracks = new Set(streams.map((each) => each.track));
      assert.equal(tracks.size, 4, `${what}: two people with sound and picture are four tracks`);
      carriedOnce(what, rateOf(streams), published);
      const viewer = people.find((person) => CITIES[person.city].node === to);
      const sids = await pictureSids(viewer.page);
      for (const publisher of publishers) {
        const sid = sids.get(publisher.id);
        carriedOnce(`${what}, picture of ${publisher.id} (${sid})`, rateOf(streams.filter((each) => each.track === sid)), publisher.video);
      }
    }
    for (const link of links) {
      const origins = new Set(link.streams.filter((each) => each.rate > 0).map((each) => each.origin));
      // Each origin's bytes are told with the link from there to anywhere.
      const bytes = [...origins].map((origin) => links.find((each) => each.from === origin).publishedBytes);
      const publishedBytes = bytes.reduce((sum, each) => sum + each, 0);
      if (publishedBytes === 0) continue;
      const what = `${link.from} to ${link.to}`;
      const growth = link.wireBytes / publishedBytes;
      const kilobytes = (number) => (number / 1000).toFixed(1);
      console.log(`${what}: ${kilobytes(publishedBytes)} kB/s published, ${kilobytes(link.wireBytes)} kB/s on the wire, ratio ${growth.toFixed(3)}`);
      assert.ok(growth < MOST_GROWTH_ON_WIRE, `${what}: ${growth.toFixed(2)} bytes on the wire per byte published`);
    }
    for (const person of people) {
      const { senders, sampled } = await seen(person.page);
      const changes = senders.map(({ id, changes }) => ({ id, changes }));
      const told = { changes, sampled, received: await person.page.evaluate(() => window.__connections.inbound()) };
      for (const sender of senders) assert.ok(sender.changes > 0, `${person.name} must go on seeing ${sender.id} meanwhile: ${JSON.stringify(told)}`);
    }
  });

  const rateOf = (streams) => streams.reduce((sum, each) => sum + each.rate, 0);

  function carriedOnce(what, carried, published) {
    const ratio = carried / published;
    console.log(`${what}: ${published.toFixed(1)} packets a second published, ${carried.toFixed(1)} carried, ratio ${ratio.toFixed(3)}`);
    assert.ok(ratio < MOST_TIMES && ratio > LEAST_TIMES, `${what}: carried ${ratio.toFixed(2)} times`);
  }

  it("everybody reads the message of one of them", async () => {
    const [first, ...others] = people;
    await say(first, marker);
    for (const person of others) await reads(person, marker, first.name, PATIENCE_MS);
  });

  it("everybody sees who is here and on which node", async () => {
    const expected = people.map(({ name, city }) => ({ name, node: CITIES[city].node }));
    const sorted = (list) => [...list].sort((a, b) => a.name.localeCompare(b.name));
    for (const person of people) {
      await openPanel(person, "people");
      await until(`${person.name} sees everybody in the list`, PATIENCE_MS, async () => {
        const now = await person.page.evaluate(() => window.__people.now());
        return { done: JSON.stringify(sorted(now)) === JSON.stringify(sorted(expected)), seen: now };
      });
    }
  });

  it("nobody on the way between nodes reads chat, names or media", async () => {
    const witness = people.find((person) => person.takeFrames);
    const { slices } = await until("slices of encoded frames of both kinds", PATIENCE_MS, async () => {
      const slices = await witness.page.evaluate(() => window.__frames.slices());
      const count = (kind) => slices.filter((each) => each.kind === kind).length;
      const counts = { audio: count("audio"), video: count("video") };
      return { done: Object.values(counts).every((each) => each >= LEAST_SLICES_PER_KIND), seen: counts, slices };
    });
    await keepAll();
    await mesh.wan.stop();
    const capture = await readCapture(mesh.capture);
    const secrets = new Map([
      ["the chat message", Buffer.from(marker)],
      ["the room", Buffer.from(room)],
      ...people.map(({ name }) => [`the name ${name}`, Buffer.from(name)]),
      ...slices.map(({ kind, slice }, at) => [`${kind} frame ${at}`, Buffer.from(slice)]),
    ]);
    assert.deepEqual(occurring(capture, secrets), []);
    const control = new Map([["a slice of the capture itself", knownSlice(capture, CONTROL_BYTES)]]);
    assert.equal(occurring(capture, control).length, 1, "the search must find what is there");
    console.log(`${capture.datagrams.length} datagrams, ${capture.bytes.length} bytes searched for ${secrets.size} secrets`);
  });
});
