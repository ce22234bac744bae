/**
 * Networks of this machine for one node and places around it, each in a namespace with a line of its own to the node. What a
 * place sends by UDP can be thrown away on its way, in silence, as firewalls do. Nothing outside of them is touched.
 */
import { execFile, execFileSync } from "node:child_process";
import { promisify } from "node:util";

/** A command of `ip` that takes longer hangs. */
const IP_WITHIN_MS = 10_000;
/** Of the node, whichever line leads to it: one for documentation (RFC 5737). Browsers use port 443 of public addresses only. */
const ADDRESS = "198.51.100.1";

const ip = (...args) => promisify(execFile)("ip", args, { timeout: IP_WITHIN_MS });

/** Makes the namespaces: `node` with `address`, and one for each of `names`. */
export async function startPlaces(names) {
  const prefix = `cwf-${process.pid}`;
  const node = `${prefix}-node`;
  const namespaces = Object.fromEntries(names.map((name) => [name, `${prefix}-${name}`]));
  const made = [];
  // Also when a test process ends before it can clean up. The lines go with the namespaces.
  const atExit = () => made.forEach((name) => execFileSync("ip", ["netns", "delete", name], { stdio: "ignore" }));
  process.once("exit", atExit);
  const stop = async () => {
    process.off("exit", atExit);
    for (const name of made) await ip("netns", "delete", name);
  };
  const make = async (name) => {
    await ip("netns", "add", name);
    made.push(name);
    await ip("-n", name, "link", "set", "lo", "up");
  };
  try {
    await make(node);
    await ip("-n", node, "address", "add", `${ADDRESS}/32`, "dev", "lo");
    // What comes in is looked at before it is found to be for this host.
    await ip("-n", node, "rule", "add", "pref", "100", "lookup", "local");
    await ip("-n", node, "rule", "delete", "pref", "0");
    for (const [at, name] of names.entries()) {
      const namespace = namespaces[name];
      await make(namespace);
      await ip("-n", namespace, "link", "add", "line", "type", "veth", "peer", "name", name, "netns", node);
      await ip("-n", node, "address", "add", `10.78.${at}.1/24`, "dev", name);
      await ip("-n", node, "link", "set", name, "up");
      await ip("-n", namespace, "address", "add", `10.78.${at}.2/24`, "dev", "line");
      await ip("-n", namespace, "link", "set", "line", "up");
      await ip("-n", namespace, "route", "add", "default", "via", `10.78.${at}.1`);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    node: { namespace: node, address: ADDRESS },
    namespaces,
    stop,
    /** From now on nothing comes from there by UDP. */
    blockUdp: (name) => ip("-n", node, "rule", "add", "pref", "50", "iif", name, "ipproto", "udp", "blackhole"),
    allowUdp: (name) => ip("-n", node, "rule", "delete", "pref", "50", "iif", name, "ipproto", "udp", "blackhole"),
  };
}
