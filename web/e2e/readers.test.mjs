/** The readers of pictures, tones and encoded frames must be right before anything they say about a mesh counts. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { startBrowser } from "./lib/browser.mjs";
import { servePages } from "./lib/page-server.mjs";
import { seen, showsMoving } from "./lib/picture.mjs";
import { hears } from "./lib/tone.mjs";
import { until } from "./lib/until.mjs";

const PAGE = join(dirname(fileURLToPath(import.meta.url)), "lib/page/loopback.html");
const SENDER = 11;
const PATIENCE_MS = 60_000;

describe("what a browser sends itself is read for what it is", () => {
  let server;
  let browser;

  before(async () => {
    server = await servePages({ "/": PAGE });
    browser = await startBrowser(SENDER, { takeFrames: true });
    await browser.page.goto(server.origin);
    await browser.page.evaluate(() => window.run());
  });

  after(async () => {
    await browser?.close();
    await server?.close();
  });

  it("the picture says who sends it and moves on", async () => {
    const senders = await showsMoving(browser.page, "the page", [SENDER], PATIENCE_MS);
    assert.deepEqual([...senders.keys()], [SENDER]);
    const { senders: all } = await seen(browser.page);
    assert.equal(all.length, 1, "no picture may be taken for somebody else's");
  });

  it("the tone is that of the sender and of nobody else", async () => {
    const heard = await hears(browser.page, "the page", [SENDER], PATIENCE_MS);
    assert.equal(heard.senders.length, 1);
  });

  it("encoded frames of both kinds give slices", async () => {
    await until("slices of sound and picture", PATIENCE_MS, async () => {
      const slices = await browser.page.evaluate(() => window.__frames.slices());
      const kinds = new Set(slices.map((slice) => slice.kind));
      return { done: kinds.has("audio") && kinds.has("video"), seen: [...kinds] };
    });
  });
});
