/** What every screen test needs: the development server, a browser with fake devices, and pages of a given look. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { createServer } from "vite";
import { QUIET_FLAGS } from "../../e2e/lib/chromium-flags.mjs";

export const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

const FLAGS = [
  ...QUIET_FLAGS,
  "--use-fake-device-for-media-stream",
];

/** Starts the development server on a free port. Answers its origin and a function that ends it. */
export async function startServer() {
  const server = await createServer({ server: { port: 0, host: "127.0.0.1", hmr: false, proxy: {} }, logLevel: "error", clearScreen: false });
  await server.listen();
  const address = server.httpServer.address();
  return { origin: `http://127.0.0.1:${address.port}`, close: () => server.close() };
}

/** Starts a browser with a profile of its own. With `askDevices` false every question for a device is answered no. */
export async function startBrowser({ devices = true } = {}) {
  const profile = await mkdtemp(join(tmpdir(), "causeway-ui-"));
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    headless: true,
    args: devices ? [...FLAGS, "--use-fake-ui-for-media-stream"] : [...FLAGS, "--deny-permission-prompts"],
    viewport: null,
  });
  return {
    /** A page of a given size and light. Errors in it end the test run. */
    async page({ width, height, dark = false, reducedMotion = false }) {
      const page = await browser.newPage();
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme: dark ? "dark" : "light", reducedMotion: reducedMotion ? "reduce" : "no-preference" });
      page.on("pageerror", (error) => {
        console.error("error in the page:", error);
        process.exitCode = 1;
      });
      return page;
    },
    async close() {
      await browser.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}
