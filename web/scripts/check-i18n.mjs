/** Every message is used, and every used message has its words. Which keys exist the type checker knows already. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

function sources(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return path === "src/i18n" ? [] : sources(path);
    return /\.tsx?$/.test(entry.name) ? [readFileSync(path, "utf8")] : [];
  });
}

const code = sources("src").join("\n");
const words = readFileSync("src/i18n/en.ts", "utf8");
const keys = [...words.matchAll(/^ {2}"([\w.-]+)":\s*"((?:[^"\\]|\\.)*)"/gm)].map((match) => ({ key: match[1], text: match[2] }));

/** `left.title.${reason}` in the code uses all keys that begin and end like it. */
const patterns = [...code.matchAll(/`([a-z]+(?:[.\w${}?: "]|-)*)`/g)]
  .map((match) => match[1])
  .filter((text) => text.includes("${") && text.includes("."))
  .map((text) => new RegExp(`^${text.replace(/\./g, "\\.").replace(/\$\{[^}]*\}/g, "[\\w.-]+")}$`));

const faults = [];
const seen = new Set();
for (const { key, text } of keys) {
  if (seen.has(key)) faults.push(`${key}: stands twice`);
  seen.add(key);
  if (text.trim() === "") faults.push(`${key}: has no words`);
  if (!code.includes(`"${key}"`) && !patterns.some((pattern) => pattern.test(key))) faults.push(`${key}: is not used`);
  for (const [, forms] of text.matchAll(/\{\w+\|([^}]*)\}/g)) if (!forms.includes("other:")) faults.push(`${key}: has no form for "other"`);
}
const declared = [...words.matchAll(/^ {2}"/gm)].length;
if (declared !== keys.length) faults.push(`${declared} messages stand in the file, ${keys.length} were understood`);

for (const fault of faults) console.error(fault);
console.log(faults.length === 0 ? `i18n: ${keys.length} messages, all used` : `i18n: ${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);
