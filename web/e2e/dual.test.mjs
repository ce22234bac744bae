/** An unmodified SDK with two peer connections, version 0 of the protocol, meets one with a single connection on another node. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { startBrowser } from "./lib/browser.mjs";
import { askToJoin, startMesh } from "./lib/mesh.mjs";
import { SDK_PAGE, servePages } from "./lib/page-server.mjs";
import { CITIES } from "./lib/participant.mjs";
import { resultsFolder } from "./lib/paths.mjs";
import { showsMoving } from "./lib/picture.mjs";
import { hears } from "./lib/tone.mjs";
import { until } from "./lib/until.mjs";

const PATIENCE_MS = 60_000;
const PACKETS = 20;
const DUAL = { id: 6, city: "berlin", path: "?dual" };
const SINGLE = { id: 9, city: "sydney", path: "" };

describe("two peer connections", () => {
  const room = `dual-${randomBytes(6).toString("hex")}`;
  const people = [];
  let results;
  let mesh;
  let server;
  let dual;
  let single;

  async function come(one) {
    const { url, token } = await askToJoin(mesh.nodes.fra, room, `person ${one.id}`, CITIES[one.city].address);
    await one.browser.page.goto(`${server.origin}/${one.path}`);
    await one.browser.page.evaluate(([url, token, sender]) => window.peer.join(url, token, sender), [url, token, one.id]);
  }

  const facts = async (one, fact) => (await one.browser.page.evaluate(() => window.peer.facts())).filter((each) => each.fact === fact);
  const connections = (one) => one.browser.page.evaluate(() => window.peer.connections());

  before(async () => {
    results = await resultsFolder("dual");
    mesh = await startMesh({ results });
    server = await servePages(SDK_PAGE);
    for (const one of [DUAL, SINGLE]) {
      people.push({ ...one, browser: await startBrowser(one.id) });
      await come(people.at(-1));
    }
    [dual, single] = people;
  });

  after(async () => {
    for (const { id, browser } of people) {
      await writeFile(join(results, `${id}.log`), browser.console.join("\n"));
      await browser.close();
    }
    await server?.close();
    await mesh?.stop();
  });

  it("the one has two connections, the other one", async () => {
    assert.equal((await connections(dual)).mode, "subscriber-primary");
    assert.equal((await connections(single)).mode, "publisher-only");
  });

  it("each sees and hears the other", async () => {
    for (const [one, other] of [[dual, single], [single, dual]]) {
      await showsMoving(one.browser.page, `person ${one.id}`, [other.id], PATIENCE_MS);
      await hears(one.browser.page, `person ${one.id}`, [other.id], PATIENCE_MS);
    }
  });

  for (const reliable of [true, false]) {
    it(`${reliable ? "reliable" : "lossy"} data goes both ways`, async () => {
      for (const [from, to] of [[dual, single], [single, dual]]) {
        const texts = Array.from({ length: PACKETS }, (_, at) => `${from.id} ${reliable} ${at}`);
        await from.browser.page.evaluate(([texts, reliable]) => window.peer.data(texts, reliable, "probe"), [texts, reliable]);
        await until(`data of ${from.id}`, PATIENCE_MS, async () => {
          const arrived = (await facts(to, "data")).filter((each) => each.reliable === reliable).map((each) => each.text);
          if (reliable && arrived.length >= PACKETS) assert.deepEqual(arrived, texts, "all, once, in order");
          return { done: arrived.length >= (reliable ? PACKETS : 1), seen: arrived.length };
        });
      }
    });
  }

  it("who comes again is seen again, in the sections there are", async () => {
    await single.browser.page.evaluate(() => window.peer.leave());
    await until("it is gone", PATIENCE_MS, async () => {
      const went = await facts(dual, "went");
      return { done: went.length === 1, seen: went };
    });
    await come(single);
    await showsMoving(dual.browser.page, "person with two connections", [single.id], PATIENCE_MS);
    await hears(dual.browser.page, "person with two connections", [single.id], PATIENCE_MS);
    const { offered } = await connections(dual);
    assert.deepEqual([...offered].sort(), ["m=application", "m=audio", "m=video"]);
  });
});
