/** Three nodes an ocean apart on this machine: the emulated links, the nodes with their configurations, and their feeds. */
import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CAUSEWAY, LOADTEST } from "./paths.mjs";
import { freeTcpPorts, freeUdpBlock } from "./ports.mjs";
import { start } from "./program.mjs";
import { until } from "./until.mjs";

const PLACES = {
  fra: { region: "Frankfurt", latitude: 50.11, longitude: 8.682 },
  sin: { region: "Singapore", latitude: 1.352, longitude: 103.82 },
  syd: { region: "Sydney", latitude: -33.868, longitude: 151.209 },
};

/** One-way delays of the links, in milliseconds. */
const DELAYS_MS = { "fra sin": 80, "sin syd": 46, "fra syd": 125 };

const NAMES = Object.keys(PLACES);

/** UDP ports a node may take from its media port upwards, one per shard. */
const MEDIA_PORTS = 16;

const READY_WITHIN_MS = 60_000;
const JOINED_WITHIN_MS = 60_000;

/** The capture stops growing here. */
const CAPTURE_LIMIT = "256MiB";

const directed = () => NAMES.flatMap((from) => NAMES.filter((to) => to !== from).map((to) => ({ from, to })));
const delayOf = (from, to) => DELAYS_MS[`${from} ${to}`] ?? DELAYS_MS[`${to} ${from}`];

/**
 * Starts the links and the three nodes, and waits until every node sees both others.
 * `results` gets the logs; with `capture` everything that crosses a link is recorded in `mesh.capture`.
 * `settings` are further sections of every node's configuration.
 */
export async function startMesh({ results, capture = false, settings = "" }) {
  const folder = await mkdtemp(join(tmpdir(), "causeway-e2e-"));
  // Also when a test process ends before it can clean up.
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const programs = [];
  const stop = async () => {
    await Promise.all(programs.map((program) => program.stop()));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const layout = await layOut();
    const captureFile = capture ? join(folder, "mesh.pcap") : null;
    const [control] = await freeTcpPorts(1);
    const wan = await startLinks(layout, folder, results, captureFile, control);
    programs.push(wan);
    const nodes = {};
    const secret = randomBytes(24).toString("hex");
    for (const name of NAMES) {
      nodes[name] = await startNode(name, layout, secret, folder, results, settings);
      programs.push(nodes[name]);
    }
    /** Starts a node again that has ended, as an operator does who has put another program in its place. */
    const startAgain = async (name) => {
      const again = (nodes[name].times ?? 1) + 1;
      const program = start(name, CAUSEWAY, ["node", "--config", nodes[name].config], join(results, `${name}-${again}.log`));
      programs.push(program);
      nodes[name] = { ...nodes[name], ...program, times: again };
      await ready(nodes[name]);
      await joined(mesh);
    };
    const mesh = { nodes, wan, control, capture: captureFile, feed: (name) => feed(nodes[name]), startAgain, stop };
    for (const name of NAMES) await ready(nodes[name]);
    await joined(mesh);
    return mesh;
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Which port everything listens on. */
async function layOut() {
  const http = await freeTcpPorts(NAMES.length);
  const meshFirst = await freeUdpBlock(NAMES.length);
  const links = directed();
  const linksFirst = await freeUdpBlock(links.length);
  const nodes = {};
  for (const [at, name] of NAMES.entries()) {
    nodes[name] = { http: http[at], media: await freeUdpBlock(MEDIA_PORTS), mesh: meshFirst + at };
  }
  return { nodes, links: links.map((link, at) => ({ ...link, port: linksFirst + at })) };
}

async function startLinks(layout, folder, results, captureFile, control) {
  const tables = layout.links.map(
    ({ from, to, port }) => `[[links]]
from = "${from}"
to = "${to}"
listen = "127.0.0.1:${port}"
forward_to = "127.0.0.1:${layout.nodes[to].mesh}"
delay = "${delayOf(from, to)}ms"
`,
  );
  const config = join(folder, "wan.toml");
  await writeFile(config, `seed = 1\ncontrol = "127.0.0.1:${control}"\n\n${tables.join("\n")}`);
  const recording = captureFile ? ["--capture", captureFile, "--capture-limit", CAPTURE_LIMIT] : [];
  const wan = start("wan", LOADTEST, ["wan", "--config", config, ...recording], join(results, "wan.log"));
  await until("the emulated links are up", READY_WITHIN_MS, () => {
    wan.mustRun();
    const log = wan.log();
    return { done: log.includes("wan ready"), seen: log };
  });
  return wan;
}

async function startNode(name, layout, secret, folder, results, settings) {
  const { region, latitude, longitude } = PLACES[name];
  const ports = layout.nodes[name];
  const peers = layout.links.filter((link) => link.from === name).map((link) => `"127.0.0.1:${link.port}"`);
  const data = join(folder, name);
  await mkdir(data);
  const config = join(folder, `${name}.toml`);
  await writeFile(
    config,
    `[node]
name = "${name}"
region = "${region}"
latitude = ${latitude}
longitude = ${longitude}
data_dir = "${data}"

[http]
listen = "127.0.0.1:${ports.http}"
public_url = "http://127.0.0.1:${ports.http}"
trusted_proxies = ["127.0.0.1/32"]

[media]
udp_listen = "127.0.0.1:${ports.media}"
advertise = ["127.0.0.1"]

[mesh]
listen = "127.0.0.1:${ports.mesh}"
secret = "${secret}"
peers = [${peers.join(", ")}]

[auth]
anonymous_join = true

[auth.keys]
e2e = "${secret}"

${settings}`,
  );
  const program = start(name, CAUSEWAY, ["node", "--config", config], join(results, `${name}.log`));
  return { ...program, region, ports, config, origin: `http://127.0.0.1:${ports.http}` };
}

async function ready(node) {
  await until(`node ${node.name} is ready`, READY_WITHIN_MS, async () => {
    node.mustRun();
    const answer = await fetch(`${node.origin}/readyz`, { signal: AbortSignal.timeout(2_000) });
    return { done: answer.ok, seen: `${answer.status} ${await answer.text()}` };
  });
}

async function joined(mesh) {
  for (const name of NAMES) {
    await until(`node ${name} sees both others`, JOINED_WITHIN_MS, async () => {
      for (const node of Object.values(mesh.nodes)) node.mustRun();
      const { peers, nodes } = await mesh.feed(name);
      const up = peers.filter((peer) => peer.state === "up").map((peer) => peer.node);
      // A peer says where it is only after its link is up; until then nobody can be sent there.
      const placed = nodes.map((node) => node.node);
      const others = NAMES.filter((other) => other !== name);
      return { done: others.every((other) => up.includes(other) && placed.includes(other)), seen: { peers, nodes } };
    });
  }
}

/** What a node says about the mesh, as its operators see it. */
async function feed(node) {
  const answer = await fetch(`${node.origin}/api/mesh`, { signal: AbortSignal.timeout(5_000) });
  if (!answer.ok) throw new Error(`/api/mesh of ${node.name}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** Asks a node for a place in a room for somebody at a public address. */
export async function askToJoin(node, room, name, address) {
  const answer = await fetch(`${node.origin}/api/join`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-forwarded-for": address },
    body: JSON.stringify({ room, name }),
    signal: AbortSignal.timeout(10_000),
  });
  const body = await answer.json();
  if (!answer.ok) throw new Error(`/api/join of ${node.name}: ${answer.status} ${JSON.stringify(body)}`);
  return body;
}

/** A figure of a node, by shard. */
export async function figure(node, name) {
  const answer = await fetch(`${node.origin}/metrics`, { signal: AbortSignal.timeout(5_000) });
  const line = new RegExp(`^${name}(?:_total)?\\{shard="(\\d+)"\\} +(\\S+)$`, "gm");
  const values = [...(await answer.text()).matchAll(line)].map(([, , value]) => Number(value));
  if (values.length === 0) throw new Error(`${node.name} has no figure ${name}`);
  return values;
}

/** What the emulator has carried so far: one entry per directed link. */
export async function carriedByLinks(mesh) {
  const socket = connect(mesh.control, "127.0.0.1");
  socket.setTimeout(5_000, () => socket.destroy(new Error("the emulator does not answer")));
  socket.write("stats\n");
  let text = "";
  for await (const chunk of socket) {
    text += chunk;
    if (text.includes("\n")) break;
  }
  socket.destroy();
  return JSON.parse(text);
}
