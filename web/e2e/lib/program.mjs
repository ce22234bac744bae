/** Programs under test: each has a log file and never outlives the run, whatever ends it. */
import { spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));

const LOG_LINES_SHOWN = 20;

/** Starts a program. What it writes goes to `logFile`. */
export function start(name, command, args, logFile) {
  return supervise(name, command, args, logFile, false).program;
}

/** Starts a program that tells facts and takes commands, a line of JSON each. The log has what else it writes. */
export function startSpeaking(name, command, args, logFile) {
  const { child, program } = supervise(name, command, args, logFile, true);
  const facts = [];
  createInterface({ input: child.stdout }).on("line", (line) => facts.push(JSON.parse(line)));
  return { ...program, facts: () => facts, tell: (order) => child.stdin.write(`${JSON.stringify(order)}\n`) };
}

function supervise(name, command, args, logFile, speaks) {
  const log = openSync(logFile, "w");
  const child = spawn(command, args, { stdio: speaks ? ["pipe", "pipe", log] : ["ignore", log, log] });
  closeSync(log);
  running.add(child);
  let fault = null;
  const ended = new Promise((resolve) => {
    child.once("error", (error) => {
      fault = error;
      running.delete(child);
      resolve();
    });
    child.once("exit", () => {
      running.delete(child);
      resolve();
    });
  });
  const isRunning = () => fault === null && child.exitCode === null && child.signalCode === null;
  const program = {
    name,
    pid: child.pid,
    logFile,
    isRunning,
    ended,
    /** Exit code, once it has ended by itself. */
    code: () => child.exitCode,
    log: () => readFileSync(logFile, "utf8"),
    /** Throws with the end of the log unless the program still runs. */
    mustRun() {
      if (isRunning()) return;
      const tail = readFileSync(logFile, "utf8").trimEnd().split("\n").slice(-LOG_LINES_SHOWN).join("\n");
      throw new Error(`${name} ended by itself (${fault?.message ?? child.exitCode ?? child.signalCode})\n${tail}`);
    },
    /** Sends a signal and waits for the end; `SIGTERM` is followed by `SIGKILL` when it is ignored. */
    async stop(signal = "SIGTERM", patienceMs = 5_000) {
      if (!isRunning()) return;
      child.kill(signal);
      const timer = setTimeout(() => child.kill("SIGKILL"), patienceMs);
      await ended;
      clearTimeout(timer);
    },
    kill: (signal) => child.kill(signal),
  };
  return { child, program };
}
