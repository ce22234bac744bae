/** Runs test files one after the other, as one run with one summary; the process ends with its result. */
import { spawn } from "node:child_process";
import { access } from "node:fs/promises";
import { CAUSEWAY, CHROMIUM, LOADTEST } from "./paths.mjs";

/** Nothing here takes longer; it ends a run that hangs. */
const LONGEST_TEST_FILE_MS = 10 * 60_000;

export async function runRing(files) {
  for (const [file, make] of [
    [CAUSEWAY, "cargo build --package bridge"],
    [LOADTEST, "cargo build --package loadtest"],
    [CHROMIUM, "infra/bootstrap.sh browser"],
  ]) {
    await access(file).catch(() => {
      console.error(`${file} is missing. Run: ${make}`);
      process.exit(1);
    });
  }
  const flags = ["--test", "--test-concurrency=1", "--test-reporter=spec", `--test-timeout=${LONGEST_TEST_FILE_MS}`];
  const child = spawn(process.execPath, [...flags, ...files], { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code) => process.exit(code ?? 1));
}
