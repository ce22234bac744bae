/**
 * The browser ring: `node web/e2e/run.mjs [name...]` runs the tests of this folder, or those whose file name contains a
 * given name. Needs the built client, `causeway`, `loadtest` and Chromium; `make test-browser` provides them.
 */
import { readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runRing } from "./lib/ring.mjs";

const folder = dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);

const files = readdirSync(folder)
  .filter((file) => file.endsWith(".test.mjs"))
  .filter((file) => wanted.length === 0 || wanted.some((name) => file.includes(name)));
if (files.length === 0) {
  console.error(`no test file has ${wanted.join(" or ")} in its name`);
  process.exit(1);
}

await runRing(files.map((file) => join(folder, file)));
