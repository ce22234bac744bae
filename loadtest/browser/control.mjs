/**
 * Real Chromium in the room of light clients, as a control: the same stamps read behind a real network stack.
 *
 * `loadtest run --browser N` starts this. Orders come as lines of JSON on the standard input, facts go as lines of JSON to
 * the standard output:
 *
 *   {"order":"join","id":7,"url":"ws://127.0.0.1:7880","token":"…","width":640,"height":360}
 *   {"order":"leave","id":7}   {"order":"restart"}   {"order":"finish"}
 *   {"fact":"ready"}   {"fact":"connected","id":7,"after_ms":310}   {"fact":"failed","id":7,"reason":"…"}
 *   {"fact":"results","clients":[{"id":7,"received":900,"lost":0,"legs":[{"sender":1,"source":0,"frames":500,
 *    "layers":[500,0,0,0],"first":12,"last":511,"delays_us":[…]}]}]}
 *
 * It ends when its input does.
 */
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { QUIET_FLAGS } from "../../web/e2e/lib/chromium-flags.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
// The web client's own dependencies: one SDK and one driver for the whole repository.
const require = createRequire(join(HERE, "../../web/package.json"));
const { chromium } = require("playwright-core");

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FLAGS = [
  ...QUIET_FLAGS,
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
  "--autoplay-policy=no-user-gesture-required",
  "--mute-audio",
];

const tell = (fact) => process.stdout.write(`${JSON.stringify(fact)}\n`);

/** Pages with WebRTC want an origin; loopback counts as a safe one. */
function servePage() {
  const sdk = readFileSync(join(HERE, "../../web/node_modules/livekit-client/dist/livekit-client.umd.js"));
  const script = readFileSync(join(HERE, "page.js"));
  const page = `<!doctype html><meta charset="utf-8"><title>loadtest</title><script src="/page.js"></script><script src="/sdk.js"></script>`;
  const files = { "/": ["text/html", page], "/page.js": ["text/javascript", script], "/sdk.js": ["text/javascript", sdk] };
  const server = createServer((request, response) => {
    const [type, body] = files[request.url] ?? [];
    if (!type) return void response.writeHead(404).end();
    response.writeHead(200, { "content-type": type }).end(body);
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

const server = await servePage();
const origin = `http://127.0.0.1:${server.address().port}/`;
const browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: FLAGS });
const clients = new Map();

async function enter({ id, url, token, width, height }) {
  const context = await browser.newContext();
  const page = await context.newPage();
  clients.set(id, { context, page });
  await page.goto(origin);
  const after_ms = await page.evaluate((order) => window.loadtest.join(order), { url, token, width, height });
  tell({ fact: "connected", id, after_ms });
}

const orders = {
  async join(order) {
    try {
      await enter(order);
    } catch (error) {
      tell({ fact: "failed", id: order.id, reason: String(error.message ?? error).split("\n")[0] });
    }
  },
  async leave({ id }) {
    await clients.get(id)?.context.close();
    clients.delete(id);
  },
  async restart() {
    await Promise.all([...clients.values()].map(({ page }) => page.evaluate(() => window.loadtest.restart())));
  },
  async finish() {
    const all = [...clients].map(async ([id, { page }]) => ({ id, ...(await page.evaluate(() => window.loadtest.results())) }));
    tell({ fact: "results", clients: await Promise.all(all) });
  },
};

tell({ fact: "ready" });
const running = [];
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  const work = orders[order.order]?.(order);
  // Joins take their time and go side by side; what is asked of all waits for nobody.
  running.push(work?.catch((error) => tell({ fact: "failed", id: order.id ?? null, reason: String(error) })));
}
await Promise.all(running);
await browser.close();
server.close();
