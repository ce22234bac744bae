/** Bad networks around one node, in namespaces: a line that loses in bursts, and a change from Wi-Fi to LTE in mid-call. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { startBrowser } from "./lib/browser.mjs";
import { impossible, startRegions, startTwoLines } from "./lib/lines.mjs";
import { SDK_PAGE } from "./lib/page-server.mjs";
import { CAUSEWAY, resultsFolder } from "./lib/paths.mjs";
import { measureGaps, seen, showsMoving } from "./lib/picture.mjs";
import { start } from "./lib/program.mjs";
import { soundOf } from "./lib/sound-gap.mjs";
import { accessToken } from "./lib/token.mjs";
import { pause, until } from "./lib/until.mjs";

const PATIENCE_MS = 60_000;

/** The line of one listener: every twentieth packet is lost, on average three in a row, in both directions. */
const LOSSY = { loss: "5%", burst: 3, delay: "20ms" };

/** How long sound is counted, and how often at most. */
const COUNT_FOR_MS = 30_000;
const MOST_COUNTS = 4;

/** Of the packets expected: those that never came, repairs included; these and those too late to be played. */
const MOST_LOST = 0.005;
const MOST_UNPLAYED = 0.02;
const LONGEST_GAP_MS = 200;

/** What is under way when a line goes is over by then. */
const IN_FLIGHT_MS = 500;
const MOST_IN_FLIGHT = 50;

/** A page with nothing but the SDK, at an address that counts as a secure one; its files never touch a network. */
const PAGE = "http://localhost:1";

const skip = await impossible();
if (skip) console.log(`skipped: ${skip}`);

describe("bad networks", { skip: skip ?? false }, () => {
  const room = `network-${randomBytes(6).toString("hex")}`;
  const secret = randomBytes(24).toString("hex");
  const endings = [];
  let results;
  let address;
  /** Where the node is: nothing is between them. */
  let near;
  /** Behind the lossy line. */
  let far;
  /** Has Wi-Fi and LTE. */
  let roaming;
  let lines;
  let node;

  const facts = async (one, fact) => (await one.page.evaluate(() => window.peer.facts())).filter((each) => each.fact === fact);
  const othersOf = (one) => [near, far, roaming].filter((each) => each !== one);

  before(async () => {
    results = await resultsFolder("network");
    const folder = await mkdtemp(join(tmpdir(), "causeway-e2e-"));
    endings.push(() => rm(folder, { recursive: true, force: true }));
    const regions = await startRegions(["node", "far"], [{ from: "node", to: "far", ...LOSSY }], folder, results);
    endings.push(regions.stop);
    address = regions.node.address;
    lines = await startTwoLines(regions.node);
    endings.push(lines.stop);
    node = await startNode(regions.node, folder);
    near = await come(1, regions.node.namespace);
    far = await come(2, regions.far.namespace);
    roaming = await come(3, lines.namespace);
    await everybodySees();
  });

  after(async () => {
    for (const one of [near, far, roaming].filter(Boolean)) {
      const told = await one.page.evaluate(() => window.peer.facts()).catch(() => []);
      await writeFile(join(results, `${one.id}.log`), [...one.console, ...told.map((each) => JSON.stringify(each))].join("\n"));
    }
    // Last come, first gone; one that fails must not keep the others.
    for (const end of endings.reverse()) await end().catch((error) => console.error(error));
  });

  it("sound survives 5 % of loss in bursts", async () => {
    for (let count = 1; ; count++) {
      const [reference, lossy] = await soundOfRoaming([near, far]);
      tell("without loss", reference);
      tell("with loss", lossy);
      assert.ok(lossy.grown.nackCount > 0, "the line must have lost something");
      assert.ok(lossy.lost <= MOST_LOST, `${percent(lossy.lost)} of the packets were lost for good`);
      assert.ok(lossy.unplayed <= MOST_UNPLAYED, `${percent(lossy.unplayed)} of the packets were lost or late`);
      if (lossy.longestMs <= LONGEST_GAP_MS) return;
      // Where browsers wait for a processor, sound is made up behind a good line too: one count without a gap shows what
      // the line does, several with one show a fault.
      console.log(`count ${count}: sound was made up for ${lossy.longestMs.toFixed(0)} ms in a row, without loss for ${reference.longestMs.toFixed(0)} ms`);
      assert.ok(count < MOST_COUNTS, `each of ${MOST_COUNTS} counts has a gap of sound of more than ${LONGEST_GAP_MS} ms`);
    }
  });

  it("a change from Wi-Fi to LTE keeps the call of a browser with a socket on each", () => changesNetwork());

  it("a change from Wi-Fi to LTE keeps the call of a browser with one socket, whose address changes as behind a NAT", async () => {
    await roaming.page.evaluate(() => window.peer.leave());
    await lines.findWifi();
    roaming = await come(3, lines.namespace, ["--webrtc-ip-handling-policy=default_public_interface_only"]);
    await everybodySees();
    await changesNetwork();
  });

  async function changesNetwork() {
    console.log(`its sockets: ${JSON.stringify(await localCandidates(roaming))}`);
    const sid = await roaming.page.evaluate(() => window.peer.sid());
    const gone = await Promise.all([near, far].map((one) => facts(one, "went")));
    const packets = new Map([[near, (await soundOf(near.page, roaming.id)).packets], [roaming, (await soundOf(roaming.page, near.id)).packets]]);
    await lines.loseWifi();
    const cutAt = Date.now();
    for (const one of [near, roaming]) await measureGaps(one.page);
    for (const [one, other] of [[near, roaming], [roaming, near]]) await goesOn(one, other, cutAt, packets.get(one));
    await until("its signalling goes on, too", PATIENCE_MS, async () => {
      const [resuming, again] = [await facts(roaming, "resuming"), await facts(roaming, "reconnected")];
      return { done: again.length > 0 && again.length >= resuming.length, seen: await roaming.page.evaluate(() => window.peer.facts()) };
    });
    console.log(`its signalling goes on ${Date.now() - cutAt} ms after the change`);
    assert.equal(await roaming.page.evaluate(() => window.peer.sid()), sid, "it is the same participant");
    assert.deepEqual(await facts(roaming, "disconnected"), []);
    assert.deepEqual(await facts(roaming, "reconnecting"), [], "nothing had to be built anew");
    assert.deepEqual(await Promise.all([near, far].map((one) => facts(one, "went"))), gone, "nobody sees it leave");
    // What it asks for by signalling is done.
    await roaming.page.evaluate(() => window.peer.allow(false));
    await stands(near, roaming);
    await roaming.page.evaluate(() => window.peer.allow(true));
    await everybodySees();
  }

  /** Waits until `one` sees frames of `other` that were sent after the line went at `cutAt`, and hears more of its sound. */
  async function goesOn(one, other, cutAt, packetsBefore) {
    const { frameAt } = await until(`person ${one.id} sees and hears person ${other.id} again`, PATIENCE_MS, async () => {
      const { senders } = await seen(one.page);
      const times = senders.find((each) => each.id === other.id)?.times ?? [];
      const frameAt = times.find((each) => each >= cutAt + IN_FLIGHT_MS);
      const packets = (await soundOf(one.page, other.id)).packets - packetsBefore;
      return { done: frameAt !== undefined && packets > MOST_IN_FLIGHT, seen: { times: times.slice(-3), packets }, frameAt };
    });
    const { longestGapMs } = (await seen(one.page)).senders.find((each) => each.id === other.id);
    console.log(`person ${one.id} sees person ${other.id} again ${frameAt - cutAt} ms after the change, longest standstill ${longestGapMs} ms`);
  }

  /** What the page's connection sends from. */
  async function localCandidates(one) {
    const rows = await one.page.evaluate(() => window.__connections.local());
    return rows.map(({ address, candidateType, protocol }) => `${candidateType} ${protocol} ${address}`);
  }

  async function everybodySees() {
    for (const one of [near, far, roaming]) {
      await showsMoving(one.page, `person ${one.id}`, othersOf(one).map((each) => each.id), PATIENCE_MS);
    }
  }

  const percent = (share) => `${(share * 100).toFixed(2)} %`;

  async function startNode({ namespace }, folder) {
    const config = join(folder, "node.toml");
    await writeFile(
      config,
      `[node]
name = "one"
data_dir = "${folder}"

[http]
listen = "${address}:7880"
# Plain HTTP is for proxies; here there is nobody else.
trusted_proxies = ["${address}/32"]

[media]
udp_listen = "${address}:7882"
advertise = ["${address}"]

[auth.keys]
e2e = "${secret}"
`,
    );
    const program = start("node", "ip", ["netns", "exec", namespace, CAUSEWAY, "node", "--config", config], join(results, "node.log"));
    endings.push(() => program.stop());
    return program;
  }

  /** A browser in a namespace, in the room, publishing its picture and its tone. */
  async function come(id, namespace, flags = []) {
    const browser = await startBrowser(id, { namespace, flags });
    endings.push(browser.close);
    const one = { id, page: browser.page, console: browser.console };
    await one.page.route(`${PAGE}/**`, (route) => {
      const file = SDK_PAGE[new URL(route.request().url()).pathname];
      return file ? route.fulfill({ path: file }) : route.fulfill({ status: 404 });
    });
    await one.page.goto(`${PAGE}/`);
    await until(`the node answers person ${id}`, PATIENCE_MS, async () => {
      node.mustRun();
      const answer = await one.page.evaluate((url) => fetch(url, { mode: "no-cors" }).then(() => "yes", String), `http://${address}:7880/healthz`);
      return { done: answer === "yes", seen: answer };
    });
    await enters(one);
    return one;
  }

  const enters = ({ id, page }) =>
    page.evaluate(([url, token, sender]) => window.peer.join(url, token, sender), [`ws://${address}:7880`, accessToken({ key: "e2e", secret }, room, id), id]);

  /**
   * What each listener got of the sound of the same speaker within the same time. `packetsLost` is RFC 3550's: a packet that
   * is repaired is lost no more. Late (`packetsDiscarded`) is what came when the browser had already played on. Made-up sound (`concealedSamples`) is what the jitter buffer invented for what was not
   * there in time; sound it stretched or shortened to keep its length is not in that figure.
   */
  async function soundOfRoaming(listeners) {
    const tracks = [];
    for (const one of listeners) {
      const { sid } = await soundOf(one.page, roaming.id);
      tracks.push((await one.page.evaluate(() => window.__connections.remoteTracks())).find((each) => each.sid === sid).track);
      await one.page.evaluate(() => window.__sounds.watch());
    }
    await pause(COUNT_FOR_MS);
    const watched = await Promise.all(listeners.map((one) => one.page.evaluate(() => window.__sounds.watched())));
    return watched.map((all, at) => {
      const { grown, longestMs } = all.find((each) => each.track === tracks[at]);
      const expected = grown.packetsReceived + grown.packetsLost;
      const lost = Math.max(grown.packetsLost, 0);
      return { grown, longestMs, expected, lost: lost / expected, unplayed: (lost + grown.packetsDiscarded) / expected };
    });
  }

  function tell(where, { grown, longestMs, expected, unplayed }) {
    const share = (part) => percent(part / grown.totalSamplesReceived);
    console.log(
      `sound ${where}: ${expected} packets, ${grown.packetsLost} lost for good, ${grown.packetsDiscarded} late (${percent(unplayed)}), ` +
        `${grown.nackCount} requests; made up ${share(grown.concealedSamples)} ` +
        `(${share(grown.silentConcealedSamples)} silent) in ${grown.concealmentEvents} pieces, at most ${longestMs.toFixed(0)} ms in a row`,
    );
  }

  /** Waits until a picture does not move any more. */
  async function stands(one, other) {
    await until(`person ${one.id} sees person ${other.id} no more`, PATIENCE_MS, async () => {
      await measureGaps(one.page);
      await pause(1_000);
      const { senders } = await seen(one.page);
      const changes = senders.find((each) => each.id === other.id)?.changes ?? 0;
      return { done: changes === 0, seen: changes };
    });
  }
});
