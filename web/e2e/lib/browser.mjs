/** Browsers whose camera and microphone are files that say who sends them. */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { QUIET_FLAGS } from "./chromium-flags.mjs";
import { CHROMIUM } from "./paths.mjs";
import { signalOf } from "./signal.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const PAGE_SCRIPTS = join(HERE, "page");

/** Small enough for many browsers on two cores; it is published in a single layer. */
const SMALL = "320x180";

const FLAGS = [
  ...QUIET_FLAGS,
  "--disable-extensions",
  // Pages here are never in front, and must not be slowed down for it.
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
  "--autoplay-policy=no-user-gesture-required",
  "--use-fake-ui-for-media-stream",
  "--use-fake-device-for-media-stream",
];

/**
 * Starts a browser with a fresh profile and the devices of sender `id`.
 * `takeFrames` also takes slices out of encoded frames, for which the page must be allowed to start a worker. With
 * `namespace` it has the network of that namespace only; `flags` are further ones of Chromium.
 */
export async function startBrowser(id, { takeFrames = false, size = SMALL, namespace = "", flags = [] } = {}) {
  const signal = await signalOf(id, size);
  const devices = [`--use-file-for-fake-video-capture=${signal.picture}`, `--use-file-for-fake-audio-capture=${signal.sound}`];
  const browser = await chromium.launch({
    executablePath: join(HERE, "chromium.sh"),
    env: { ...process.env, CHROMIUM, NAMESPACE: namespace },
    headless: true,
    args: [...FLAGS, ...flags, ...devices],
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
  });
  const context = await browser.newContext({
    viewport: { width: 960, height: 600 },
    bypassCSP: takeFrames,
    reducedMotion: "reduce",
  });
  await context.addInitScript(preferences);
  const scripts = ["connections.js", ...(takeFrames ? ["frames.js"] : []), "pictures.js", "tones.js", "sounds.js", "gaps.js", "people.js"];
  for (const script of scripts) await context.addInitScript({ path: join(PAGE_SCRIPTS, script) });
  const page = await context.newPage();
  const console = [];
  page.on("console", (message) => console.push(`${new Date().toISOString()} ${message.type()} ${message.text()}`));
  page.on("pageerror", (error) => console.push(`${new Date().toISOString()} error in the page: ${error.stack ?? error}`));
  return { id, page, console, close: () => browser.close() };
}

/** Runs in the page: sound as it is, since a pure tone is what noise suppression is made to remove. */
function preferences() {
  if (!location.protocol.startsWith("http")) return;
  const prefs = { name: "", micId: "", camId: "", noiseSuppression: false, theme: "light" };
  localStorage.setItem("causeway.prefs", JSON.stringify(prefs));
}
