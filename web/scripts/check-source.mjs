/**
 * Holds the walls of the house: who may import whom, how long a file may be, which token layers may be used where, and
 * that no sentence stands outside `i18n`. Prints every breach and fails if there is one.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

/** Longest source file, in lines. `i18n` holds lists, not logic. */
const MAX_LINES = 320;

/** What each folder may import besides itself. */
const MAY_IMPORT = {
  model: [],
  i18n: [],
  tokens: [],
  stage: ["model"],
  session: ["model"],
  ui: ["model", "i18n", "stage", "session", "tokens"],
};

/** Packages each folder may import; `livekit-client` has one door. */
const MAY_USE = { model: [], i18n: [], stage: [], session: [], ui: ["preact", "preact/hooks", "@preact/signals"] };
const DOOR = { folder: "session/livekit/", packages: ["livekit-client"] };

const IMPORT = /^(?:import|export)\s[^;"=]*?\bfrom\s+"([^"]+)"|^import\s+"([^"]+)"|\bimport\("([^"]+)"\)/gm;

const PHYSICAL = /^\s*(margin|padding|border)-(left|right|top|bottom)\b|^\s*text-align:\s*(left|right)|^\s*float:/;

const breaches = [];

function files(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? files(join(folder, entry.name)) : [join(folder, entry.name)],
  );
}

function checkImports(name, text) {
  const folder = name.split("/")[0];
  for (const [, named, bare, lazy] of text.matchAll(IMPORT)) {
    const from = named ?? bare ?? lazy;
    if (from.startsWith(".")) {
      const target = relative("src", join("src", dirname(name), from)).split("/")[0];
      if (target !== folder && !MAY_IMPORT[folder]?.includes(target)) breaches.push(`${name}: may not import from ${target}`);
    } else if (![...(MAY_USE[folder] ?? []), ...(name.startsWith(DOOR.folder) ? DOOR.packages : [])].includes(from)) {
      breaches.push(`${name}: may not use ${from}`);
    }
  }
}

function checkWords(name, text) {
  if (!name.endsWith(".tsx")) return;
  text.split("\n").forEach((line, at) => {
    if (/^\s*(\*|\/\/|\/\*)/.test(line)) return;
    const literal = /(?:aria-label|title|placeholder|alt)="[^"]*[A-Za-z][^"]*"/.test(line) || /^\s*[A-Z][a-z]+( [a-z]+)+[.!?]?\s*$/.test(line);
    if (literal) breaches.push(`${name}:${at + 1}: a sentence outside i18n`);
  });
}

function checkStyles(name, text) {
  if (!name.endsWith(".css")) return;
  text.split("\n").forEach((line, at) => {
    if (PHYSICAL.test(line)) breaches.push(`${name}:${at + 1}: use a logical property`);
    if (!name.startsWith("tokens/") && /var\(--raw-|#[0-9a-f]{3,8}\b(?!-)/i.test(line.replace(/^\s*#[a-z-]+.*\{$/i, "")))
      breaches.push(`${name}:${at + 1}: use a token that says what the colour is for`);
  });
}

for (const path of files("src")) {
  const name = relative("src", path);
  const text = readFileSync(path, "utf8");
  const lines = text.split("\n").length;
  if (lines > MAX_LINES) breaches.push(`${name}: ${lines} lines, at most ${MAX_LINES}`);
  if (/\.tsx?$/.test(name)) checkImports(name, text);
  checkWords(name, text);
  checkStyles(name, text);
}

for (const breach of breaches) console.error(breach);
console.log(breaches.length === 0 ? "source: walls hold" : `source: ${breaches.length} breaches`);
process.exit(breaches.length === 0 ? 0 : 1);
