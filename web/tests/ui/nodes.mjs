/** The built client, as a node serves it, against stand-in nodes: the media library, the join API and a node's death. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "vite";
import { StandInNode } from "./stand-in-node.mjs";

const id = (name) => `[data-testid=${name}]`;

/** Runs a test with the built client and as many nodes as it names. */
function withNodes(regions, test) {
  return async ({ browser }) => {
    const dist = await mkdtemp(join(tmpdir(), "causeway-dist-"));
    await build({ logLevel: "error", build: { outDir: dist, emptyOutDir: true } });
    const nodes = await Promise.all(regions.map(([name, region]) => new StandInNode(name, region, dist).start()));
    for (const node of nodes) node.others = nodes.filter((other) => other !== node);
    const page = await browser.page({ width: 1280, height: 800 });
    const complaints = [];
    const foreign = [];
    page.on("console", (message) => /Content Security Policy/i.test(message.text()) && complaints.push(message.text()));
    page.on("request", (request) => {
      const { protocol, hostname } = new URL(request.url());
      if (/^http/.test(protocol) && hostname !== "127.0.0.1") foreign.push(request.url());
    });
    for (const node of nodes) await node.serve(page);
    try {
      await test({ page, nodes });
      assert.deepEqual(complaints, [], "the policy of a node is kept");
      assert.deepEqual(foreign, [], "nothing is asked of others");
      for (const node of nodes) await node.settle();
    } finally {
      await page.close();
      for (const node of nodes) node.close();
      await rm(dist, { recursive: true, force: true });
    }
  };
}

const playing = (page, identity) =>
  page.waitForFunction((who) => {
    const video = document.querySelector(`[data-testid=tile][data-identity=${who}] video`);
    return video && video.videoWidth > 0 && !video.paused && video.currentTime > 0;
  }, identity);

export const nodeTests = [
  [
    "the built client joins, sees somebody, publishes once and writes",
    withNodes([["fra", "Frankfurt"]], async ({ page, nodes: [fra] }) => {
      await page.goto(`${fra.origin}/m/oak?pretend=203.0.113.9&name=Ann&autojoin=1`);
      await page.waitForSelector(`${id("connection-state")}[data-state=connected][data-node=fra]`);
      assert.deepEqual(fra.joins, [{ room: "oak", name: "Ann", query: "?pretend=203.0.113.9" }]);
      await playing(page, "bea");
      await page.click(id("toggle-people"));
      await page.waitForSelector(`${id("people-row")}[data-identity=bea][data-node=syd]`);
      await page.click(id("toggle-chat"));
      await page.fill(id("chat-input"), "hello oak");
      await page.click(id("chat-send"));
      await page.waitForSelector(`${id("chat-message")}[data-self=true][data-delivery=sent]`);
      await page.waitForFunction(() => globalThis.standIn.fra.packets.length > 0);
      assert.equal((await fra.received())[0].value.case, "streamHeader");
      await page.waitForFunction(() => globalThis.standIn.fra.pc.getReceivers().filter((receiver) => !receiver.track.muted).length >= 2);
      assert.equal(fra.cids.length, 2, "microphone and camera, each announced once");
    }),
  ],
  [
    "the camera goes dark when off and comes back on the same publication",
    withNodes([["fra", "Frankfurt"]], async ({ page, nodes: [fra] }) => {
      await page.goto(`${fra.origin}/m/oak?name=Ann&autojoin=1`);
      await page.waitForFunction(() => globalThis.standIn?.fra.pc.getReceivers().filter((receiver) => !receiver.track.muted).length >= 2);
      await page.click(id("toggle-camera"));
      await page.waitForSelector(`${id("tile")}[data-self=true]:not([data-picture])`);
      await page.click(id("toggle-camera"));
      await playing(page, "me");
      await page.waitForTimeout(500);
      assert.equal(fra.cids.length, 2);
    }),
  ],
  [
    "chat is read in each of the forms other clients write it",
    withNodes([["fra", "Frankfurt"]], async ({ page, nodes: [fra] }) => {
      await page.goto(`${fra.origin}/m/oak?name=Ann&autojoin=1`);
      await page.waitForFunction(() => globalThis.standIn?.fra._reliable?.readyState === "open");
      const utf8 = (text) => new TextEncoder().encode(text);
      const timestamp = BigInt(Date.now());
      await fra.send({ case: "streamHeader", value: { streamId: "s1", topic: "lk.chat", timestamp, mimeType: "text/plain", totalLength: 8n, contentHeader: { case: "textHeader", value: {} } } });
      await fra.send({ case: "streamChunk", value: { streamId: "s1", chunkIndex: 0n, content: utf8("streamed") } });
      await fra.send({ case: "streamTrailer", value: { streamId: "s1" } });
      await fra.send({ case: "chatMessage", value: { id: "c1", timestamp, message: "packed" } });
      await fra.send({ case: "user", value: { topic: "lk-chat-topic", payload: utf8(JSON.stringify({ id: "u1", timestamp: Number(timestamp), message: "plain" })) } });
      await fra.send({ case: "user", value: { topic: "lk-chat-topic", payload: utf8("{broken") } });
      await page.waitForFunction(() => document.querySelector("#toggle-chat .control-count")?.textContent === "3");
      await page.click(id("toggle-chat"));
      const read = await page.$$eval(id("chat-message"), (all) => all.map((one) => [one.dataset.from, one.dataset.identity, one.querySelector(".chat-text").textContent]));
      // All three bear one time, and a stream is whole only after its last piece: no order is promised.
      assert.deepEqual(read.sort(), [["Bea", "bea", "packed"], ["Bea", "bea", "plain"], ["Bea", "bea", "streamed"]]);
      assert.equal(await page.$eval("#toggle-chat .control-count", (badge) => badge.textContent).catch(() => ""), "");
    }),
  ],
  [
    "a shared screen is published, shown large, withdrawn, and can be shared again",
    withNodes([["fra", "Frankfurt"]], async ({ page, nodes: [fra] }) => {
      await page.goto(`${fra.origin}/m/oak?name=Ann&autojoin=1`);
      await playing(page, "bea");
      for (const round of [1, 2]) {
        const before = fra.cids.length;
        await page.click(id("toggle-share"));
        const screen = `${id("tile")}[data-source=screen][data-self=true]`;
        await page.waitForSelector(`${screen}[data-place=large][data-picture]`);
        for (let i = 0; i < 100 && fra.cids.length === before; i++) await page.waitForTimeout(50);
        assert.ok(fra.cids.length > before, `published in round ${round}`);
        await page.click(id("toggle-share"));
        await page.waitForSelector(screen, { state: "detached" });
      }
    }),
  ],
  [
    "a killed node is replaced by another within five seconds, with the same tracks and the same chat",
    withNodes([["fra", "Frankfurt"], ["sin", "Singapore"]], async ({ page, nodes: [fra, sin] }) => {
      await page.goto(`${fra.origin}/m/oak?pretend=203.0.113.9&name=Ann&autojoin=1`);
      await playing(page, "bea");
      await page.click(id("toggle-chat"));
      await page.fill(id("chat-input"), "before");
      await page.click(id("chat-send"));
      await page.waitForSelector(`${id("chat-message")}[data-delivery=sent]`);
      await page.waitForFunction(() => globalThis.standIn.fra.pc.getReceivers().filter((receiver) => !receiver.track.muted).length >= 2);
      await page.keyboard.press("Escape");
      await page.keyboard.press("m");
      const killedMs = Date.now();
      await fra.kill();
      await page.waitForSelector(`${id("connection-state")}[data-state=connected][data-node=sin]`);
      await playing(page, "bea");
      const tookMs = Date.now() - killedMs;
      assert.ok(tookMs < 5000, `took ${tookMs} ms`);
      assert.deepEqual(sin.joins, [{ room: "oak", name: "Ann", exclude: ["fra"], previous_token: "token-of-fra", query: "?pretend=203.0.113.9" }]);
      await page.waitForFunction(() => globalThis.standIn.sin.pc.getReceivers().some((receiver) => receiver.track.kind === "video" && !receiver.track.muted));
      assert.deepEqual([...sin.cids].sort(), [...fra.cids].sort(), "the same local tracks");
      assert.equal(await page.getAttribute(id("toggle-mic"), "aria-pressed"), "false");
      await page.click(id("toggle-chat"));
      await page.fill(id("chat-input"), "after");
      await page.click(id("chat-send"));
      await page.waitForFunction(() => document.querySelectorAll("[data-testid=chat-message][data-delivery=sent]").length === 2);
      console.log(`     rejoined and decoding after ${tookMs} ms`);
    }),
  ],
  [
    "a node without power is replaced within five seconds although no connection was closed",
    withNodes([["fra", "Frankfurt"], ["sin", "Singapore"]], async ({ page, nodes: [fra] }) => {
      await page.goto(`${fra.origin}/m/oak?name=Ann&autojoin=1`);
      await playing(page, "bea");
      await page.waitForTimeout(2500);
      const cutMs = Date.now();
      await fra.fallSilent();
      await page.waitForSelector(`${id("connection-state")}[data-state=connected][data-node=sin]`);
      await playing(page, "bea");
      const tookMs = Date.now() - cutMs;
      assert.ok(tookMs < 5000, `took ${tookMs} ms`);
      console.log(`     rejoined and decoding after ${tookMs} ms`);
    }),
  ],
  [
    "a connection that breaks while its node lives is made anew there, with what was published",
    withNodes([["fra", "Frankfurt"], ["sin", "Singapore"]], async ({ page, nodes: [fra, sin] }) => {
      await page.goto(`${fra.origin}/m/oak?name=Ann&autojoin=1`);
      await playing(page, "bea");
      await page.waitForFunction(() => globalThis.standIn.fra.pc.getReceivers().filter((receiver) => !receiver.track.muted).length >= 2);
      fra.socket.close({ code: 1006 });
      await page.waitForFunction(() => globalThis.standIn.fra.session === 2);
      await page.waitForFunction(() => globalThis.standIn.fra.pc.getReceivers().filter((receiver) => !receiver.track.muted).length >= 2);
      await playing(page, "bea");
      await page.waitForSelector(`${id("connection-state")}[data-state=connected][data-node=fra]`);
      assert.deepEqual(fra.cids.slice(2).sort(), fra.cids.slice(0, 2).sort(), "the same local tracks");
      assert.equal(sin.joins.length, 0);
    }),
  ],
  [
    "a node that cannot be reached is said so, and joining can be tried again",
    withNodes([["fra", "Frankfurt"]], async ({ page, nodes: [fra] }) => {
      await page.goto(`${fra.origin}/m/oak?name=Ann`);
      await page.waitForSelector(".preview video:not([hidden])");
      await fra.kill();
      await page.click(id("prejoin-join"));
      await page.waitForSelector(id("join-error"));
      assert.match(await page.textContent(id("join-error")), /No node answers/);
      assert.equal(await page.isEnabled(id("prejoin-join")), true);
    }),
  ],
];
