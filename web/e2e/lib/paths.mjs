/** Where things are: what a build left behind, and where a run may write. */
import { mkdir, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const REPOSITORY = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");

const TARGET = resolve(REPOSITORY, process.env.TARGET_DIR ?? process.env.CARGO_TARGET_DIR ?? "target");
const BUILT = join(TARGET, process.env.PROFILE ?? "debug");

export const CAUSEWAY = process.env.CAUSEWAY_BIN ?? join(BUILT, "causeway");
export const LOADTEST = process.env.LOADTEST_BIN ?? join(BUILT, "loadtest");
export const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
export const SDK_PYTHON = process.env.SDK_PYTHON ?? join(TARGET, "sdk/bin/python");

/** Pictures and tones, made once and kept: they depend on nothing but their number. */
export const SIGNALS = join(TARGET, "e2e/signals");

/** An empty folder for what one test leaves for people to look at: screenshots, logs, configurations. */
export async function resultsFolder(test) {
  const folder = join(TARGET, "e2e", test);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  return folder;
}
