/** Hostile datagrams for a media port: noise, cut-off handshakes, forged media; and what the kernel did with them. */
import { createSocket } from "node:dgram";
import { readFile } from "node:fs/promises";
import { pause } from "./until.mjs";

const SOURCES = 16;
const LARGEST_BYTES = 1_400;

/** Sent without a pause in between; the receiving socket's buffer holds more than this. */
const BURST = 100;

/** Numbers that look random and are the same in every run (mulberry32). */
function numbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

const noise = (next, length) => {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; at++) bytes[at] = next() & 0xff;
  return bytes;
};

/** A DTLS record with the start of a ClientHello that ends anywhere. */
function cutHandshake(next) {
  const record = Buffer.concat([Buffer.from([22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, next() & 0xff]), noise(next, 300)]);
  record.writeUInt16BE(next() % 600, 11);
  record[13] = 1;
  return record.subarray(0, 1 + (next() % record.length));
}

/** An RTP packet of a stream that nobody announced, with a seal that nobody made. */
function forgedMedia(next) {
  const packet = noise(next, 28 + (next() % 1_100));
  packet[0] = 0x80 | (next() & 0x1f);
  packet[1] = next() % 2 ? 111 : 96 + (next() % 32);
  return packet;
}

/** An RTCP packet likewise. */
function forgedControl(next) {
  const packet = noise(next, 32 + (next() % 200));
  packet[0] = 0x80 | (next() & 0x1f);
  packet[1] = 200 + (next() % 8);
  return packet;
}

/** A connectivity check for a session that does not exist. */
function forgedCheck(next) {
  const attributes = noise(next, 4 * (1 + (next() % 40)));
  const check = Buffer.concat([Buffer.alloc(20), attributes]);
  check.writeUInt16BE(1, 0);
  check.writeUInt16BE(attributes.length, 2);
  check.writeUInt32BE(0x2112a442, 4);
  noise(next, 12).copy(check, 8);
  check.writeUInt16BE(6, 20);
  return check;
}

const KINDS = [(next) => noise(next, next() % LARGEST_BYTES), cutHandshake, forgedMedia, forgedControl, forgedCheck];

/** How many different datagrams are prepared; each is altered a little whenever it is sent. */
const PREPARED = 5_000;

/**
 * Sends datagrams of all kinds to `ports` in turn until the receiving sockets have taken `wanted` of them. Answers how
 * many were sent and how many the kernel dropped before the node saw them.
 */
export async function flood(ports, wanted, seed = 1) {
  const next = numbers(seed);
  const prepared = Array.from({ length: PREPARED }, (_, at) => KINDS[at % KINDS.length](next));
  const sockets = await Promise.all(Array.from({ length: SOURCES }, openSocket));
  const droppedBefore = await droppedAt(ports);
  let sent = 0;
  let dropped = 0;
  while (sent - dropped < wanted) {
    for (let round = 0; round < 100; round++) {
      const port = ports[round % ports.length];
      const burst = Array.from({ length: BURST }, (_, at) => alter(prepared[(sent + at) % PREPARED], next));
      await Promise.all(burst.map((datagram, at) => send(sockets[at % SOURCES], datagram, port)));
      sent += BURST;
    }
    dropped = (await droppedAt(ports)) - droppedBefore;
    // A receiver that cannot keep up is given a moment, or most of what is sent would never reach it.
    await pause(1);
  }
  for (const socket of sockets) socket.close();
  return { sent, dropped };
}

function alter(datagram, next) {
  if (datagram.length > 4) datagram[4 + (next() % (datagram.length - 4))] = next() & 0xff;
  return datagram;
}

function openSocket() {
  const socket = createSocket("udp4");
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(0, "127.0.0.1", () => resolve(socket));
  });
}

function send(socket, datagram, port) {
  return new Promise((resolve, reject) => {
    socket.send(datagram, port, "127.0.0.1", (error) => (error ? reject(error) : resolve()));
  });
}

/** Datagrams that the kernel dropped so far because the sockets at `ports` were full. Throws when one is not open. */
async function droppedAt(ports) {
  const rows = (await readFile("/proc/net/udp", "utf8")).trim().split("\n").slice(1).map((each) => each.trim().split(/\s+/));
  return ports.reduce((sum, port) => {
    const hex = port.toString(16).toUpperCase().padStart(4, "0");
    const row = rows.find((columns) => columns[1].endsWith(`:${hex}`));
    if (!row) throw new Error(`no socket is open on UDP port ${port}`);
    return sum + Number(row.at(-1));
  }, 0);
}

/** Memory of a process that is in use now, in bytes. */
export async function residentBytes(pid) {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]) * 1024;
}
