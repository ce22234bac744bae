/**
 * Networks of this machine that hold one node and people around it, each in a namespace: regions of `loadtest wan` behind
 * lines that lose packets, and a place with two lines of which one can be cut. Nothing outside of them is touched.
 */
import { execFile, execFileSync } from "node:child_process";
import { access, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { LOADTEST } from "./paths.mjs";
import { start } from "./program.mjs";
import { until } from "./until.mjs";

const READY_WITHIN_MS = 30_000;
/** A command of `ip` that takes longer hangs. */
const IP_WITHIN_MS = 10_000;
const PREFIX = "cwe";
/** In order of preference. */
const LINES = ["wifi", "lte"];

const ip = (...args) => promisify(execFile)("ip", args, { timeout: IP_WITHIN_MS });

/** Why this machine and user cannot have such networks, in words; null where they can. */
export async function impossible() {
  if (process.getuid() !== 0) return "network namespaces need root";
  try {
    await access("/dev/net/tun");
  } catch {
    return "there is no /dev/net/tun";
  }
  const probe = `${PREFIX}-${process.pid}-probe`;
  try {
    await ip("netns", "add", probe);
    await ip("-n", probe, "link", "add", "one", "type", "veth", "peer", "name", "other");
    return null;
  } catch (error) {
    return `no namespaces with lines between them: ${error.message.trim()}`;
  } finally {
    await ip("netns", "delete", probe).catch(() => {});
  }
}

/**
 * Starts regions with lines between them. `links` are tables of `loadtest wan` (`from`, `to`, `loss`, ...), each for both
 * directions. Answers the namespace and the address of each region.
 */
export async function startRegions(names, links, folder, results) {
  const table = (values) => Object.entries(values).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`).join("");
  const regions = names.map((name) => `[[regions]]\n${table({ name })}`);
  const tables = links.map((link) => `[[links]]\n${table(link)}`);
  const config = join(folder, "lines.toml");
  await writeFile(config, `seed = 1\nprefix = "${PREFIX}"\n\n${[...regions, ...tables].join("\n")}`);
  const wan = start("wan", LOADTEST, ["wan", "--config", config], join(results, "lines.log"));
  const place = (log, name) => new RegExp(`^region ${name}: namespace (\\S+), address (\\S+)$`, "m").exec(log);
  await until("the regions are there", READY_WITHIN_MS, () => {
    wan.mustRun();
    const log = wan.log();
    return { done: names.every((name) => place(log, name)), seen: log };
  });
  const found = names.map((name) => {
    const [, namespace, address] = place(wan.log(), name);
    return [name, { namespace, address }];
  });
  return { ...Object.fromEntries(found), stop: () => wan.stop() };
}

/**
 * A place with two lines, `wifi` before `lte`, to the node in `namespace`. `loseWifi` takes the first one away as a system
 * does that leaves a wireless network: no device, no address, no route; `findWifi` brings it back.
 */
export async function startTwoLines({ namespace }) {
  const name = `${PREFIX}-${process.pid}-two`;
  await ip("netns", "add", name);
  // Also when a test process ends before it can clean up. The lines go with the namespace.
  const atExit = () => execFileSync("ip", ["netns", "delete", name], { stdio: "ignore" });
  process.once("exit", atExit);
  const stop = async () => {
    process.off("exit", atExit);
    await ip("netns", "delete", name);
  };
  const raise = async (line) => {
    const at = LINES.indexOf(line);
    await ip("-n", name, "link", "set", line, "up");
    await ip("-n", name, "address", "add", `10.77.${at}.2/24`, "dev", line);
    await ip("-n", name, "route", "add", "default", "via", `10.77.${at}.1`, "dev", line, "metric", `${100 * (at + 1)}`);
  };
  try {
    await ip("-n", name, "link", "set", "lo", "up");
    for (const [at, line] of LINES.entries()) {
      await ip("-n", name, "link", "add", line, "type", "veth", "peer", "name", line, "netns", namespace);
      await ip("-n", namespace, "address", "add", `10.77.${at}.1/24`, "dev", line);
      await ip("-n", namespace, "link", "set", line, "up");
      await raise(line);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    namespace: name,
    stop,
    findWifi: () => raise("wifi"),
    async loseWifi() {
      await ip("-n", name, "link", "set", "wifi", "down");
      await ip("-n", name, "address", "flush", "dev", "wifi");
    },
  };
}
