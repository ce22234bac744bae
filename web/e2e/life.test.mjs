/** What people do in a meeting, across nodes: switch devices, share a screen, come late with a large picture, go and return. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { pictureSids } from "./lib/carried.mjs";
import { startMesh } from "./lib/mesh.mjs";
import { enter, keep } from "./lib/participant.mjs";
import { resultsFolder } from "./lib/paths.mjs";
import { forget, seen, showsMoving } from "./lib/picture.mjs";
import { heardFromNow, hears } from "./lib/tone.mjs";
import { pause, until } from "./lib/until.mjs";

const PATIENCE_MS = 60_000;

/** Longer than anything under way takes to arrive. */
const DRAIN_MS = 2_000;

describe("life in a meeting over three regions", () => {
  const room = `life-${randomBytes(6).toString("hex")}`;
  const people = [];
  let results;
  let mesh;
  let berlin;
  let singapore;
  let sydney;

  const come = async (one) => {
    const person = await enter({ ...one, room, door: mesh.nodes.fra });
    people.push(person);
    return person;
  };
  const press = (person, what) => person.page.click(`[data-testid=toggle-${what}]`);
  const tilesOf = (person, name, source) => person.page.locator(`[data-testid=tile][data-name="${name}"][data-source=${source}]`);

  before(async () => {
    results = await resultsFolder("life");
    mesh = await startMesh({ results });
    berlin = await come({ id: 1, city: "berlin" });
    singapore = await come({ id: 2, city: "singapore" });
    await showsMoving(berlin.page, berlin.name, [2], PATIENCE_MS);
    await showsMoving(singapore.page, singapore.name, [1], PATIENCE_MS);
  });

  after(async () => {
    for (const person of people) await keep(person, results);
    await Promise.all(people.map((person) => person.leave()));
    await mesh?.stop();
  });

  it("a camera that is switched off is seen no more, and again when it is on", async () => {
    await press(berlin, "camera");
    await pause(DRAIN_MS);
    await forget(singapore.page);
    await pause(DRAIN_MS);
    const { senders } = await seen(singapore.page);
    assert.ok(senders.every((each) => each.changes <= 1), "no picture may move");
    await press(berlin, "camera");
    await showsMoving(singapore.page, singapore.name, [1], PATIENCE_MS);
  });

  it("a microphone that is switched off is heard no more, and again when it is on", async () => {
    await hears(singapore.page, singapore.name, [1], PATIENCE_MS);
    await press(berlin, "mic");
    await pause(DRAIN_MS);
    const { senders } = await heardFromNow(singapore.page, DRAIN_MS);
    assert.deepEqual(senders, []);
    await press(berlin, "mic");
    await hears(singapore.page, singapore.name, [1], PATIENCE_MS);
  });

  it("a shared screen is shown to others, and gone when it ends", async () => {
    const screen = tilesOf(singapore, berlin.name, "screen");
    const shown = (count, withPicture) =>
      until(`${count} shared screens`, PATIENCE_MS, async () => {
        const seen = await screen.count();
        const pictures = seen ? await screen.locator("video").evaluateAll((all) => all.filter((each) => each.videoWidth > 0).length) : 0;
        return { done: seen === count && (!withPicture || pictures === count), seen: { seen, pictures } };
      });
    await press(berlin, "share");
    await shown(1, true);
    await press(berlin, "share");
    await shown(0, false);
  });

  it("somebody who comes late with a picture in layers sees and is seen", async () => {
    sydney = await come({ id: 3, city: "sydney", size: "640x360" });
    await showsMoving(sydney.page, sydney.name, [1, 2], PATIENCE_MS);
    await showsMoving(berlin.page, berlin.name, [2, 3], PATIENCE_MS);
    await showsMoving(singapore.page, singapore.name, [1, 3], PATIENCE_MS);
    const outbound = await sydney.page.evaluate(() => window.__connections.outbound());
    const layers = outbound.filter((row) => row.kind === "video" && row.rid);
    assert.ok(layers.length >= 2, "the picture must be published in layers for this to mean anything");
  });

  it("each viewer gets the layer that fits their tile, and another one when the tile changes", async () => {
    const video = tilesOf(berlin, sydney.name, "camera").locator("video");
    const arrives = (width) =>
      until(`${sydney.name} arrives ${width} wide`, PATIENCE_MS, async () => {
        const [seen, tile] = await video.evaluate((element) => [element.videoWidth, `${element.clientWidth}x${element.clientHeight}`]);
        return { done: seen === width, seen: { width: seen, tile } };
      });
    await berlin.page.setViewportSize({ width: 1280, height: 800 });
    await arrives(640);
    await berlin.page.setViewportSize({ width: 360, height: 400 });
    await arrives(320);
    const { rows } = await until("the other viewer", PATIENCE_MS, async () => {
      const rows = await tilesOf(singapore, sydney.name, "camera").locator("video").evaluateAll((all) => all.map((each) => each.videoWidth));
      return { done: rows[0] === 640, seen: rows, rows };
    });
    assert.deepEqual(rows, [640], "what one viewer wants must not change what another one gets");
    const layers = await layersOnLinks("syd", (await pictureSids(berlin.page)).get(sydney.id));
    console.log("layers that cross a link:", JSON.stringify(layers));
    console.log("trees as fra has them:", JSON.stringify((await mesh.feed("fra")).trees));
    // One for each viewer, over the link to its node or, where the tree goes on from there, both over one.
    const crossing = [...layers.fra, ...layers.sin];
    assert.equal(crossing.length, 2, "only what somebody watches crosses a link");
    assert.notEqual(crossing[0], crossing[1]);
    await berlin.page.setViewportSize({ width: 960, height: 600 });
    await arrives(640);
  });

  it("somebody who leaves disappears, and returns by the button", async () => {
    await sydney.page.click("[data-testid=leave]");
    await until("tile and sound are gone", PATIENCE_MS, async () => {
      const count = await tilesOf(berlin, sydney.name, "camera").count();
      const sounds = await berlin.page.locator("audio").count();
      return { done: count === 0 && sounds === 1, seen: { count, sounds } };
    });
    await sydney.page.click("[data-testid=left-again]");
    await sydney.page.click("[data-testid=prejoin-join]");
    await whole();
  });

  it("a page that is loaded again leaves nobody behind", async () => {
    await sydney.page.reload();
    await whole();
    await until("three tiles, no ghost", PATIENCE_MS, async () => {
      const count = await berlin.page.locator("[data-testid=tile]").count();
      return { done: count === 3, seen: count };
    });
  });

  it("a node that hangs is left by its people, and welcome when it runs again", async () => {
    const hung = mesh.nodes.syd;
    hung.kill("SIGSTOP");
    await until(`${sydney.name} is connected through another node`, PATIENCE_MS, async () => {
      const state = sydney.page.locator("[data-testid=connection-state]");
      const [node, shown] = [await state.getAttribute("data-node"), await state.getAttribute("data-state")];
      return { done: node !== "syd" && shown === "connected", seen: `${shown} through ${node}` };
    });
    await whole();
    hung.kill("SIGCONT");
    await until("the node is linked again", PATIENCE_MS, async () => {
      const { peers } = await mesh.feed("fra");
      const peer = peers.find((each) => each.node === "syd");
      return { done: peer?.state === "up", seen: peer };
    });
    await whole();
  });

  /** Layers of a track of which a node sends anything now, by the node it sends to. */
  async function layersOnLinks(from, track) {
    const read = async () => {
      const { peers } = await mesh.feed(from);
      return new Map(peers.flatMap((peer) => peer.streams.filter((each) => each.track === track).map((each) => [`${peer.node}/${each.layer}`, each.datagrams])));
    };
    const before = await read();
    await pause(DRAIN_MS);
    const growing = [...(await read())].filter(([key, datagrams]) => datagrams > (before.get(key) ?? 0)).map(([key]) => key.split("/"));
    const to = (node) => growing.filter(([peer]) => peer === node).map(([, layer]) => Number(layer));
    return { fra: to("fra"), sin: to("sin") };
  }

  /** Waits until everybody sees everybody else move. */
  async function whole() {
    for (const person of people) {
      await until(`${person.name} is in the meeting`, PATIENCE_MS, async () => {
        const count = await person.page.locator("[data-testid=connection-state][data-state=connected]").count();
        return { done: count === 1, seen: count };
      });
      await forget(person.page);
    }
    for (const person of people) {
      const others = people.filter((each) => each !== person).map((each) => each.id);
      await showsMoving(person.page, person.name, others, PATIENCE_MS);
    }
  }
});
