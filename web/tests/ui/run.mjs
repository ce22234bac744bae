/** Drives the client in Debian's Chromium: `npm run test:ui [part of a test's name]`. Prints one line for each test. */
import { existsSync } from "node:fs";
import { CHROMIUM, startBrowser, startServer } from "./browser.mjs";
import { accessibilityTests } from "./accessibility.mjs";
import { deviceTests } from "./devices.mjs";
import { driveTests } from "./drive.mjs";
import { nodeTests } from "./nodes.mjs";

if (!existsSync(CHROMIUM)) {
  console.error(`The screen tests need Chromium at ${CHROMIUM}: install Debian's package "chromium", or name another one in CHROMIUM.`);
  process.exit(2);
}

const only = process.argv[2] ?? "";
const tests = [...driveTests, ...deviceTests, ...nodeTests, ...accessibilityTests].filter(([name]) => name.includes(only));
const server = await startServer();
let failed = 0;
try {
  for (const group of [true, false]) {
    const mine = tests.filter(([, , options]) => (options?.devices ?? true) === group);
    if (mine.length === 0) continue;
    const browser = await startBrowser({ devices: group });
    for (const [name, test] of mine) {
      try {
        await test({ browser, origin: server.origin });
        console.log(`ok   ${name}`);
      } catch (error) {
        failed++;
        console.error(`FAIL ${name}\n${error?.stack ?? error}`);
      }
    }
    await browser.close();
  }
} finally {
  await server.close();
}
console.log(`${tests.length - failed} of ${tests.length} passed`);
process.exit(failed > 0 || process.exitCode ? 1 : 0);
