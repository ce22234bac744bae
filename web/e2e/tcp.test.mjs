/** Firewalls that block UDP: real browsers with our client and with the SDK as it is call by TCP, on the port of HTTPS. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { startBrowser } from "./lib/browser.mjs";
import { startPlaces } from "./lib/firewall.mjs";
import { impossible } from "./lib/lines.mjs";
import { SDK_PAGE } from "./lib/page-server.mjs";
import { connected } from "./lib/participant.mjs";
import { CAUSEWAY, resultsFolder } from "./lib/paths.mjs";
import { forget, measureGaps, seen, showsMoving } from "./lib/picture.mjs";
import { start } from "./lib/program.mjs";
import { accessToken } from "./lib/token.mjs";
import { hears } from "./lib/tone.mjs";
import { pause, until } from "./lib/until.mjs";

const PATIENCE_MS = 60_000;
const WATCH_FOR_MS = 10_000;
/** The certificate is nobody's. */
const FLAGS = ["--ignore-certificate-errors"];
/** A page with nothing but the SDK, at an address that counts as a secure one; its files never touch a network. */
const PAGE = "http://localhost:1";
const HTTPS_PORT = 443;
const UDP_PORT = 7882;

/** Behind a firewall with our client, behind another one with the SDK, and in the open. */
const CLIENT = { id: 1, place: "office" };
const SDK = { id: 2, place: "clinic" };
const OPEN = { id: 3, place: "home" };

const skip = await impossible();
if (skip) console.log(`skipped: ${skip}`);

describe("firewalls that block UDP", { skip: skip ?? false }, () => {
  const room = `tcp-${randomBytes(6).toString("hex")}`;
  const api = { key: "e2e", secret: randomBytes(24).toString("hex") };
  const endings = [];
  const people = [];
  let results;
  let places;
  let node;
  let origin;

  const idsBut = (one) => people.filter((each) => each !== one).map((each) => each.id);

  before(async () => {
    results = await resultsFolder("tcp");
    const folder = await mkdtemp(join(tmpdir(), "causeway-e2e-"));
    endings.push(() => rm(folder, { recursive: true, force: true }));
    places = await startPlaces([CLIENT, SDK, OPEN].map(({ place }) => place));
    endings.push(places.stop);
    for (const { place } of [CLIENT, SDK]) await places.blockUdp(place);
    origin = `https://${places.node.address}`;
    node = await startNode(places.node, folder);
    await come(CLIENT, enterOurs);
    for (const one of [SDK, OPEN]) await come(one, enterSdk);
  });

  after(async () => {
    for (const one of people) await writeFile(join(results, `${one.id}.log`), one.console.join("\n"));
    // Last come, first gone; one that fails must not keep the others.
    for (const end of endings.reverse()) await end().catch((error) => console.error(error));
  });

  it("everybody sees and hears everybody", async () => {
    for (const one of people) {
      await showsMoving(one.page, `person ${one.id}`, idsBut(one), PATIENCE_MS);
      await hears(one.page, `person ${one.id}`, idsBut(one), PATIENCE_MS);
    }
  });

  it("by TCP to the port of HTTPS from behind a firewall, by UDP in the open", async () => {
    const ways = people.map(() => ({ protocol: "tcp", port: HTTPS_PORT }));
    ways[2] = { protocol: "udp", port: UDP_PORT };
    for (const [at, one] of people.entries()) {
      const selected = await one.page.evaluate(() => window.__connections.selected());
      console.log(`person ${one.id}: ${JSON.stringify(selected)}`);
      assert.deepEqual(selected.map(({ local, remote }) => ({ protocol: local.protocol, port: remote.port })), [ways[at]]);
    }
  });

  it("goes on without a gap", async () => {
    for (const one of people) {
      await measureGaps(one.page);
      await one.page.evaluate(() => window.__sounds.watch());
    }
    await pause(WATCH_FOR_MS);
    for (const one of people) {
      const { senders } = await seen(one.page);
      for (const sound of await one.page.evaluate(() => window.__sounds.watched())) {
        const { packetsReceived, packetsLost, concealedSamples, totalSamplesReceived } = sound.grown;
        const made = ((100 * concealedSamples) / totalSamplesReceived).toFixed(2);
        console.log(`person ${one.id}: ${packetsReceived} packets of sound, ${packetsLost} lost, ${made} % made up`);
        assert.ok(packetsReceived > 0 && packetsLost <= 0, `person ${one.id} lost sound: ${JSON.stringify(sound.grown)}`);
      }
      for (const { id, changes, longestGapMs } of senders) {
        console.log(`person ${one.id} sees ${id}: ${changes} frames, longest standstill ${longestGapMs} ms`);
        assert.ok(changes > 0, `person ${one.id} sees ${id} no more`);
      }
    }
    assert.equal(await figure("tcp_others_dropped"), 0, "a fast line drops no sound");
  });

  // A browser that has found its way by UDP opens no connection. It takes 15 s to give its way up (measured: Chromium 156); the
  // SDK then resumes its signalling, restarts ICE, and finds the other way.
  it("a firewall that closes in mid-call moves it to TCP", async () => {
    const open = people[2];
    const closedAt = Date.now();
    await places.blockUdp(OPEN.place);
    await until("it is by TCP", PATIENCE_MS, async () => {
      const selected = await open.page.evaluate(() => window.__connections.selected());
      return { done: selected.length === 1 && selected[0].local.protocol === "tcp", seen: selected };
    });
    console.log(`by TCP ${Date.now() - closedAt} ms after the firewall has closed`);
    for (const one of people) await forget(one.page);
    await Promise.all(
      people.map(async (one) => {
        await showsMoving(one.page, `person ${one.id}`, idsBut(one), PATIENCE_MS);
        console.log(`person ${one.id} sees everybody move again after ${Date.now() - closedAt} ms`);
      }),
    );
    const told = await open.page.evaluate(() => window.peer.facts());
    console.log(JSON.stringify(told.filter(({ fact }) => fact.startsWith("re"))));
    assert.deepEqual(told.filter(({ fact }) => fact === "disconnected"), []);
  });

  /** A figure of the node's metrics. */
  async function figure(name) {
    const told = await people[0].page.evaluate(() => fetch("/metrics").then((answer) => answer.text()));
    return Number(new RegExp(`^causeway_${name}(?:_total)? (\\S+)$`, "m").exec(told)?.[1]);
  }

  async function startNode({ namespace, address }, folder) {
    const [cert, key, config] = ["cert.pem", "key.pem", "node.toml"].map((name) => join(folder, name));
    const subject = ["-subj", "/CN=e2e", "-addext", `subjectAltName=IP:${address}`];
    const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
    await promisify(execFile)("openssl", ["req", "-x509", ...curve, "-nodes", ...subject, "-keyout", key, "-out", cert]);
    await writeFile(
      config,
      `[node]
name = "one"
data_dir = "${folder}"

[http]
listen = "${address}:${HTTPS_PORT}"
tls.cert = "${cert}"
tls.key = "${key}"

[media]
udp_listen = "${address}:${UDP_PORT}"
tcp_listen = "${address}:${HTTPS_PORT}"
advertise = ["${address}"]

[auth.keys]
${api.key} = "${api.secret}"
`,
    );
    const program = start("node", "ip", ["netns", "exec", namespace, CAUSEWAY, "node", "--config", config], join(results, "node.log"));
    endings.push(() => program.stop());
    return program;
  }

  /** A browser at its place, in the room, publishing its picture and its tone. */
  async function come({ id, place }, enter) {
    const { page, console, close } = await startBrowser(id, { namespace: places.namespaces[place], flags: FLAGS });
    endings.push(close);
    const one = { id, name: `Person ${id}`, page, console };
    await until(`the node answers person ${id}`, PATIENCE_MS, async () => {
      node.mustRun();
      const answer = await page.goto(`${origin}/healthz`).then((answer) => answer.status(), String);
      return { done: answer === 200, seen: answer };
    });
    people.push(one);
    await enter(one);
  }

  async function enterOurs(one) {
    await one.page.goto(`${origin}/m/${room}?autojoin=1&name=${encodeURIComponent(one.name)}`);
    await connected(one);
    // The preview before joining is one's own picture.
    await forget(one.page);
  }

  async function enterSdk({ id, page }) {
    await page.route(`${PAGE}/**`, (route) => {
      const file = SDK_PAGE[new URL(route.request().url()).pathname];
      return file ? route.fulfill({ path: file }) : route.fulfill({ status: 404 });
    });
    await page.goto(`${PAGE}/`);
    const url = origin.replace("https", "wss");
    await page.evaluate(([url, token, sender]) => window.peer.join(url, token, sender), [url, accessToken(api, room, id), id]);
  }
});
