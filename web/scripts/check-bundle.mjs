/** Holds the size budgets of the built client (`dist`), and that nothing in it is meant for development or for others' servers. */
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const KB = 1000;
const names = readdirSync("dist/assets");
const gzipped = (filter) => names.filter(filter).reduce((sum, name) => sum + gzipSync(readFileSync(`dist/assets/${name}`), { level: 9 }).length, 0);
const plain = (filter) => names.filter(filter).reduce((sum, name) => sum + readFileSync(`dist/assets/${name}`).length, 0);
const js = (part) => (name) => name.endsWith(".js") && name.startsWith(part);
const css = (part) => (name) => name.endsWith(".css") && name.startsWith(part);

const BUDGETS = [
  ["home and prejoin, script", gzipped(js("index")), 45 * KB],
  ["home and prejoin, style", gzipped(css("index")), 12 * KB],
  ["the meeting's own part, script", gzipped(js("meeting")), 12 * KB],
  ["everything at join", gzipped((name) => /\.(js|css)$/.test(name)), 215 * KB],
  ["fonts", plain((name) => name.endsWith(".woff2")), 60 * KB],
];

let failed = false;
for (const [what, size, budget] of BUDGETS) {
  const over = size === 0 || size > budget;
  failed ||= over;
  console.log(`${over ? "OVER" : "ok  "} ${what}: ${(size / KB).toFixed(1)} of ${budget / KB} kB`);
}

function forbid(what, found) {
  if (!found) return;
  failed = true;
  console.error(`the built client contains ${what}`);
}

const html = readFileSync("dist/index.html", "utf8");
forbid("an inline script", /<script(?![^>]*\bsrc=)[^>]*>/.test(html));
forbid("an inline style", /<style|\sstyle=/.test(html));
forbid("an address that is not its own", /(?:src|href)="(?!\/)/.test(html));
const code = names.filter((name) => /\.(js|css)$/.test(name)).map((name) => readFileSync(`dist/assets/${name}`, "utf8")).join("\n");
forbid("the fake session", code.includes("fakeSession"));
forbid("a style sheet or font from elsewhere", /@import\s+["(]?https?:|url\(["']?https?:/.test(code));
process.exit(failed ? 1 : 0);
