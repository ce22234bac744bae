/** A million hostile datagrams on the media port of a node in use: it neither grows nor stops nor drops the call. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { flood, residentBytes } from "./lib/flood.mjs";
import { figure, startMesh } from "./lib/mesh.mjs";
import { enter, keep } from "./lib/participant.mjs";
import { resultsFolder } from "./lib/paths.mjs";
import { measureGaps, seen, showsMoving } from "./lib/picture.mjs";
import { pause, until } from "./lib/until.mjs";

const PATIENCE_MS = 90_000;
const DATAGRAMS = 1_000_000;
const MOST_GROWTH_BYTES = 5 * 1024 * 1024;

/** A call that has just begun still takes memory for itself. */
const SETTLE_MS = 15_000;

describe("a node under hostile datagrams", () => {
  const room = `flood-${randomBytes(6).toString("hex")}`;
  const people = [];
  let results;
  let mesh;

  before(async () => {
    results = await resultsFolder("badinput");
    mesh = await startMesh({ results });
    const door = mesh.nodes.fra;
    people.push(await enter({ id: 1, city: "berlin", door, room }), await enter({ id: 2, city: "london", door, room }));
    const [one, two] = people;
    await showsMoving(one.page, one.name, [two.id], PATIENCE_MS);
    await showsMoving(two.page, two.name, [one.id], PATIENCE_MS);
    await pause(SETTLE_MS);
  });

  after(async () => {
    for (const person of people) await keep(person, results);
    await Promise.all(people.map((person) => person.leave()));
    await mesh?.stop();
  });

  it("takes a million of them without growing by 5 MiB, and the call goes on", async () => {
    const node = mesh.nodes.fra;
    for (const person of people) await measureGaps(person.page);
    const unknownBefore = await unknown(node);
    const ports = unknownBefore.map((_, shard) => node.ports.media + shard);
    const before = await residentBytes(node.pid);
    const { sent, dropped } = await flood(ports, DATAGRAMS);
    await until("the node has seen them all", PATIENCE_MS, async () => {
      node.mustRun();
      const seen = sum(await unknown(node)) - sum(unknownBefore);
      return { done: seen >= sent - dropped, seen };
    });
    const later = await residentBytes(node.pid);
    console.log(`${sent} sent to ${ports.length} ports, ${dropped} dropped by the kernel; memory ${mib(before)} before, ${mib(later)} after`);
    node.mustRun();
    assert.ok(later - before <= MOST_GROWTH_BYTES, `the node grew by ${mib(later - before)}`);
    for (const person of people) {
      const { senders } = await seen(person.page);
      const { changes, longestGapMs } = senders[0];
      console.log(`${person.name} saw ${changes} frames meanwhile, longest standstill ${longestGapMs} ms`);
      assert.ok(changes > 0, `${person.name} must go on seeing the other`);
    }
  });

  it("serves the call afterwards as before", async () => {
    const [one, two] = people;
    for (const [person, other] of [[one, two], [two, one]]) {
      await measureGaps(person.page);
      await showsMoving(person.page, person.name, [other.id], PATIENCE_MS);
    }
  });
});

/** Datagrams that belonged to nobody, by shard. */
const unknown = (node) => figure(node, "causeway_shard_datagrams_unknown");
const sum = (values) => values.reduce((total, each) => total + each, 0);
const mib = (bytes) => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
