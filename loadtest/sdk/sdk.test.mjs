/** Client SDKs as they are published, with nothing changed, on different nodes of one mesh. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { startBrowser } from "../../web/e2e/lib/browser.mjs";
import { askToJoin, startMesh } from "../../web/e2e/lib/mesh.mjs";
import { SDK_PAGE, servePages } from "../../web/e2e/lib/page-server.mjs";
import { REPOSITORY, resultsFolder, SDK_PYTHON } from "../../web/e2e/lib/paths.mjs";
import { CITIES } from "../../web/e2e/lib/participant.mjs";
import { startProxy } from "../../web/e2e/lib/proxy.mjs";
import { showsMoving } from "../../web/e2e/lib/picture.mjs";
import { startSpeaking } from "../../web/e2e/lib/program.mjs";
import { hears } from "../../web/e2e/lib/tone.mjs";
import { until } from "../../web/e2e/lib/until.mjs";

const PATIENCE_MS = 90_000;
const JS_VERSION = "2.23.0";
const JS_SENDER = 6;
const PYTHON_SENDER = 9;
const FRAMES = 12;
const TONES = 4;
/** As many looks in a row, a quarter of a second apart, find no new picture where none comes. */
const STILL = 8;
const TOPIC = "probe";
const TEXT_TOPIC = "lk.chat";

/** Data packets sent in a row each way; of the lossy ones nearly all arrive on links that lose nothing. */
const PACKETS = 50;
const LEAST_LOSSY = 45;

const HERE = join(REPOSITORY, "loadtest/sdk");
const JS_SDK = join(REPOSITORY, "web/node_modules/livekit-client");

/** Where the Python SDK connects: to the node nearest to it, or to the other end of the world, which has its media on the nearest all the same. */
const ENTRIES = ["syd", "fra"];

for (const entry of ENTRIES) describe(`unmodified SDKs meet across nodes, one of them connected to ${entry}`, () => {
  const room = `sdk-${randomBytes(6).toString("hex")}`;
  const numbered = (kind) => Array.from({ length: PACKETS }, (_, at) => `${kind} ${at} ${room}`);
  let results;
  let mesh;
  let server;
  let browser;
  let python;
  let pythonsWay;
  let inJs;
  let inPython;

  const jsFacts = async (fact) => (await browser.page.evaluate(() => window.peer.facts())).filter((each) => each.fact === fact);
  const pythonFacts = async (fact) => {
    python.mustRun();
    return python.facts().filter((each) => each.fact === fact);
  };

  before(async () => {
    results = await resultsFolder(`sdk-${entry}`);
    mesh = await startMesh({ results, settings: "[testing]\nsimulate = true\n" });
    const door = mesh.nodes.fra;
    const berlin = await askToJoin(door, room, "JavaScript", CITIES.berlin.address);
    const sydney = await askToJoin(door, room, "Python", CITIES.sydney.address);
    assert.deepEqual([berlin.node, sydney.node], ["fra", "syd"]);

    pythonsWay = await startProxy(mesh.nodes[entry].origin, CITIES.sydney.address);
    const url = pythonsWay.origin.replace("http", "ws");
    python = startSpeaking(
      "python",
      SDK_PYTHON,
      ["-B", join(HERE, "peer.py"), "--url", url, "--token", sydney.token, "--sender", `${PYTHON_SENDER}`],
      join(results, "python.log"),
    );
    server = await servePages(SDK_PAGE);
    browser = await startBrowser(JS_SENDER);
    await browser.page.goto(server.origin);
    inJs = await browser.page.evaluate(([url, token, sender]) => window.peer.join(url, token, sender), [berlin.url, berlin.token, JS_SENDER]);
    await until("the Python SDK has joined and published", PATIENCE_MS, async () => {
      const published = await pythonFacts("published");
      return { done: published.length === 1, seen: python.facts() };
    });
    [inPython] = await pythonFacts("joined");
  });

  after(async () => {
    if (browser) await writeFile(join(results, "javascript.log"), browser.console.join("\n"));
    await browser?.close();
    await python?.stop();
    await pythonsWay?.close();
    await server?.close();
    await mesh?.stop();
  });

  it("they are the published versions", () => {
    assert.equal(JSON.parse(readFileSync(join(JS_SDK, "package.json"), "utf8")).version, JS_VERSION);
    assert.equal(inJs.version, JS_VERSION);
  });

  it("each is told the node it is on", () => {
    assert.equal(inJs.attributes["causeway.node"], "fra");
    assert.equal(inPython.attributes["causeway.node"], "syd");
  });

  it("JavaScript sees and hears Python", async () => {
    await showsMoving(browser.page, "the page", [PYTHON_SENDER], PATIENCE_MS);
    await hears(browser.page, "the page", [PYTHON_SENDER], PATIENCE_MS);
  });

  it("Python sees and hears JavaScript", async () => {
    await until("pictures and tones", PATIENCE_MS, async () => {
      const pictures = (await pythonFacts("picture")).filter((each) => each.sender === JS_SENDER);
      const tones = (await pythonFacts("tone")).filter((each) => each.sender === JS_SENDER);
      return { done: pictures.length >= FRAMES && tones.length >= TONES, seen: { pictures: pictures.length, tones: tones.length } };
    });
    for (const fact of ["picture", "tone"]) {
      for (const each of await pythonFacts(fact)) {
        assert.deepEqual([each.sender, each.identity], [JS_SENDER, inJs.identity], `${fact} of nobody else`);
      }
    }
  });

  for (const reliable of [true, false]) {
    const kind = reliable ? "reliable" : "lossy";
    const expected = numbered(kind);
    const check = (texts) => {
      if (reliable) assert.deepEqual(texts, expected, "all, once, in order");
      else assert.ok(texts.length >= LEAST_LOSSY && texts.every((text) => expected.includes(text)), `${texts.length} arrived`);
    };
    const least = reliable ? PACKETS : LEAST_LOSSY;

    it(`${kind} data goes from JavaScript to Python`, async () => {
      await browser.page.evaluate(([texts, reliable, topic]) => window.peer.data(texts, reliable, topic), [expected, reliable, TOPIC]);
      const { texts } = await arrived(pythonFacts, reliable, least, inJs.identity);
      check(texts);
    });

    it(`${kind} data goes from Python to JavaScript`, async () => {
      python.tell({ do: "data", reliable, topic: TOPIC, texts: expected });
      const { texts } = await arrived(jsFacts, reliable, least, inPython.identity);
      check(texts);
    });
  }

  it("a text stream arrives whole, each way", async () => {
    const long = (from) => `${from} says: ${"the tide table of the outer harbour. ".repeat(1_200)}`;
    python.tell({ do: "text", topic: TEXT_TOPIC, text: long("Python") });
    await browser.page.evaluate(([text, topic]) => window.peer.text(text, topic).then(() => {}), [long("JavaScript"), TEXT_TOPIC]);
    for (const [facts, from] of [[jsFacts, "Python"], [pythonFacts, "JavaScript"]]) {
      const { text } = await until(`the text of ${from}`, PATIENCE_MS, async () => {
        const [first] = await facts("text");
        return { done: first !== undefined, seen: "no text yet", text: first?.text };
      });
      assert.equal(text, long(from));
    }
  });

  it("each hears of its first viewer and how good connections are", async () => {
    await until("viewers and qualities", PATIENCE_MS, async () => {
      const viewed = (await jsFacts("viewed")).length;
      const qualities = await jsFacts("quality");
      const own = await browser.page.evaluate(() => window.peer.ownQuality());
      const ofPython = qualities.some((each) => each.quality === "excellent" && each.identity === inPython.identity);
      return { done: viewed === 2 && own === "excellent" && ofPython, seen: { viewed, qualities, own } };
    });
  });

  it("JavaScript keeps its tracks from Python, on another node, and gives them back", async () => {
    const frames = async () => (await pythonFacts("picture")).length;
    await browser.page.evaluate(() => window.peer.allow(false));
    let before = -1;
    let still = 0;
    await until("no picture comes any more", PATIENCE_MS, async () => {
      const now = await frames();
      still = now === before ? still + 1 : 0;
      before = now;
      return { done: still === STILL, seen: now };
    });
    await browser.page.evaluate(() => window.peer.allow(true));
    await until("pictures come again", PATIENCE_MS, async () => ({ done: (await frames()) > before + FRAMES, seen: await frames() }));
  });

  it("JavaScript loses its connection and goes on with its session", async () => {
    const sid = await browser.page.evaluate(() => window.peer.sid());
    const viewed = (await jsFacts("viewed")).length;
    await browser.page.evaluate(() => window.peer.loseConnection());
    await until("the SDK has resumed", PATIENCE_MS, async () => {
      const resumed = await jsFacts("reconnected");
      return { done: resumed.length === 1, seen: resumed };
    });
    assert.equal(await browser.page.evaluate(() => window.peer.sid()), sid, "it is the same participant");
    assert.equal((await jsFacts("resuming")).length, 1);
    assert.equal((await jsFacts("viewed")).length, viewed, "its tracks are the same");
    const frames = (await pythonFacts("picture")).length;
    const expected = numbered("after the resume");
    await browser.page.evaluate(([texts, topic]) => window.peer.data(texts, true, topic), [expected, "resumed"]);
    await until("media and data go on", PATIENCE_MS, async () => {
      const texts = (await pythonFacts("data")).filter((each) => each.topic === "resumed").map((each) => each.text);
      const more = (await pythonFacts("picture")).length - frames;
      if (texts.length >= PACKETS) assert.deepEqual(texts, expected, "all, once, in order");
      return { done: more > FRAMES && texts.length >= PACKETS, seen: { more, texts: texts.length } };
    });
    await showsMoving(browser.page, "the page", [PYTHON_SENDER], PATIENCE_MS);
    assert.deepEqual(await pythonFacts("went"), [], "nobody has noticed");
  });

  it("Python's connection breaks and it goes on with its session", async () => {
    pythonsWay.cut();
    const { resumed } = await until("the SDK has resumed", PATIENCE_MS, async () => {
      const resumed = await pythonFacts("reconnected");
      return { done: resumed.length === 1, seen: resumed, resumed };
    });
    assert.equal(resumed[0].sid, inPython.sid, "it is the same participant");
    const expected = numbered("after the break");
    python.tell({ do: "data", reliable: true, topic: "mended", texts: expected });
    await until("data go on", PATIENCE_MS, async () => {
      const texts = (await jsFacts("data")).filter((each) => each.topic === "mended").map((each) => each.text);
      if (texts.length >= PACKETS) assert.deepEqual(texts, expected, "all, once, in order");
      return { done: texts.length >= PACKETS, seen: texts.length };
    });
    await showsMoving(browser.page, "the page", [PYTHON_SENDER], PATIENCE_MS);
    assert.deepEqual(await jsFacts("went"), [], "nobody has noticed");
  });

  it("leaving is noticed on the other node", async () => {
    python.tell({ do: "leave" });
    await until("Python has left", PATIENCE_MS, async () => {
      const went = await jsFacts("went");
      return { done: went.some((each) => each.identity === inPython.identity), seen: went };
    });
    assert.deepEqual(await jsFacts("disconnected"), []);
    assert.deepEqual(await jsFacts("reconnecting"), []);
    assert.deepEqual(python.facts().filter((each) => each.fact === "fault"), []);
  });

  for (const [scenario, staysTheSame] of [
    ["disconnect-signal-on-resume", true],
    ["disconnect-signal-on-resume-no-messages", true],
    ["node-failure", false],
    ["leave-full-reconnect", false],
  ]) {
    it(`JavaScript survives the fault ${scenario}`, async () => {
      const sid = () => browser.page.evaluate(() => window.peer.sid());
      const [before, times] = [await sid(), (await jsFacts("reconnected")).length];
      await browser.page.evaluate((scenario) => window.peer.simulate(scenario), scenario);
      await until("the SDK is back", PATIENCE_MS, async () => {
        const back = (await jsFacts("reconnected")).length;
        return { done: back > times, seen: back };
      });
      assert.equal((await sid()) === before, staysTheSame);
      assert.deepEqual(await jsFacts("disconnected"), []);
    });
  }

  it("JavaScript goes where the server sends it away", async () => {
    await browser.page.evaluate(() => window.peer.simulate("server-leave"));
    await until("the SDK has left", PATIENCE_MS, async () => {
      const left = await jsFacts("disconnected");
      return { done: left.length === 1, seen: left };
    });
  });

  async function arrived(facts, reliable, least, identity) {
    return until(`${least} packets`, PATIENCE_MS, async () => {
      const packets = (await facts("data")).filter((each) => each.topic === TOPIC && each.reliable === reliable);
      for (const packet of packets) assert.equal(packet.identity, identity);
      const texts = packets.map((each) => each.text);
      return { done: texts.length >= least, seen: texts.length, texts };
    });
  }
});
