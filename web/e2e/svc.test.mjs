/**
 * Two unmodified SDKs publish VP9 and AV1 as they do by themselves: scalable, all layers in one stream. Each shows the
 * other's picture, on another node, as large as its tile wants it.
 */
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
import { until } from "./lib/until.mjs";

const PATIENCE_MS = 60_000;
/** Sizes of a tile, and how long is looked at what comes for one. */
const LARGE = [1280, 720];
const SMALL = [160, 90];
const LOOK_MS = 2_000;
/** Of three spatial layers the smallest has a quarter of the height. */
const SMALL_HEIGHT = LARGE[1] / 4;
/** Decoded pictures that are no accident. */
const FRAMES = 30;
const PEOPLE = [
  { id: 6, city: "berlin" },
  { id: 9, city: "sydney" },
];

const CASES = [
  { codec: "vp9", mime: "video/VP9", mode: "L3T3_KEY" },
  { codec: "av1", mime: "video/AV1", mode: "L3T3_KEY" },
  // With two connections it is the node that offers what AV1 needs.
  { codec: "av1", mime: "video/AV1", mode: "L3T3_KEY", dual: true },
];

describe("scalable coding", () => {
  const people = [];
  let mesh;
  let server;

  const pictures = async ({ browser }, direction) => {
    const rows = await browser.page.evaluate(async (direction) => {
      const rows = await window.__connections[direction]();
      const formats = await window.__connections.codecs();
      return rows.map((row) => ({ ...row, format: formats.find((each) => each.id === row.codecId)?.mimeType }));
    }, direction);
    return rows.filter((row) => row.kind === "video");
  };

  before(async () => {
    mesh = await startMesh({ results: await resultsFolder("svc") });
    server = await servePages(SDK_PAGE);
    for (const { id } of PEOPLE) people.push({ id, browser: await startBrowser(id) });
  });

  after(async () => {
    for (const { browser } of people) await browser.close();
    await server?.close();
    await mesh?.stop();
  });

  for (const { codec, mime, mode, dual } of CASES) {
    const name = dual ? `${codec}-dual` : codec;
    describe(`publishing ${name}`, () => {
      const room = `${name}-${randomBytes(6).toString("hex")}`;
      let results;

      before(async () => {
        results = await resultsFolder(`svc-${name}`);
        for (const [at, { id, browser }] of people.entries()) {
          const { url, token } = await askToJoin(mesh.nodes.fra, room, `person ${id}`, CITIES[PEOPLE[at].city].address);
          await browser.page.goto(`${server.origin}/?adaptive&codec=${codec}${dual ? "&dual" : ""}`);
          await browser.page.evaluate(([url, token, sender]) => window.peer.join(url, token, sender), [url, token, id]);
        }
      });

      after(async () => {
        for (const { id, browser } of people) await writeFile(join(results, `${id}.log`), browser.console.splice(0).join("\n"));
      });

      it("is what is sent", async () => {
        for (const one of people) {
          const { rows } = await until(`person ${one.id} sends ${mime}`, PATIENCE_MS, async () => {
            const rows = (await pictures(one, "outbound")).filter((row) => row.framesEncoded > FRAMES);
            const seen = rows.map(({ format, scalabilityMode, framesEncoded }) => ({ format, scalabilityMode, framesEncoded }));
            return { done: rows.length > 0, seen, rows };
          });
          assert.deepEqual([...new Set(rows.map((row) => row.format))], [mime], "all of it is in this codec");
          assert.deepEqual(rows.map((row) => row.scalabilityMode), [mode], "one stream of all layers");
        }
      });

      it("is what is decoded on the other node", async () => {
        for (const [one, other] of [people, [...people].reverse()]) {
          await showsMoving(one.browser.page, `person ${one.id}`, [other.id], PATIENCE_MS);
          const { rows } = await until(`person ${one.id} decodes ${mime}`, PATIENCE_MS, async () => {
            const rows = (await pictures(one, "inbound")).filter((row) => row.framesDecoded > FRAMES);
            const seen = (await pictures(one, "inbound")).map(({ format, framesDecoded, framesReceived, frameHeight, pliCount }) => ({ format, framesDecoded, framesReceived, frameHeight, pliCount }));
            return { done: rows.length > 0, seen, rows };
          });
          assert.deepEqual(rows.map((row) => row.format), [mime]);
        }
      });

      it("comes as large as it is shown, small and large again", async () => {
        const [one] = people;
        const shown = async (size) => {
          await one.browser.page.evaluate(([width, height]) => window.peer.show(width, height), size);
          const asked = Date.now();
          const { height } = await until(`person ${one.id} gets it for ${size}`, PATIENCE_MS, async () => {
            const [{ frameHeight: height }] = await pictures(one, "inbound");
            return { done: size === LARGE ? height > SMALL_HEIGHT : height > 0 && height <= SMALL_HEIGHT, seen: { height }, height };
          });
          const waited = Date.now() - asked;
          const [before] = await pictures(one, "inbound");
          await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
          const [after] = await pictures(one, "inbound");
          assert.ok(after.framesDecoded > before.framesDecoded, `it moves at ${size}`);
          return { size, height, waited, bytes: after.bytesReceived - before.bytesReceived, frames: after.framesDecoded - before.framesDecoded };
        };
        const seen = [await shown(LARGE), await shown(SMALL), await shown(LARGE)];
        await writeFile(join(results, "sizes.json"), JSON.stringify(seen, null, 2));
        const [large, small, again] = seen;
        assert.ok(small.bytes * 2 < large.bytes && small.bytes * 2 < again.bytes, JSON.stringify(seen));
      });
    });
  }
});
