/** Free ports of this machine. */
import { createSocket } from "node:dgram";
import { createServer } from "node:net";

const HOST = "127.0.0.1";

/** Where runs of neighbouring ports are looked for: below the range from which the system lends ports to clients. */
const FIRST_BLOCK = 12_000;
const LAST_BLOCK = 30_000;

/** `count` different free TCP ports. */
export async function freeTcpPorts(count) {
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const server = createServer();
      return new Promise((resolve, reject) => {
        server.once("error", reject);
        server.listen(0, HOST, () => resolve(server));
      });
    }),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** First of `length` free UDP ports in a row, whose TCP port is free, too: nodes take media by both. Blocks given out before are not given out again. */
export async function freeUdpBlock(length) {
  for (;;) {
    const first = nextBlock(length);
    if (await allFree(first, length)) return first;
  }
}

let next = FIRST_BLOCK + (process.pid % 500) * 32;

function nextBlock(length) {
  const first = next;
  next += length;
  if (next > LAST_BLOCK) throw new Error("no free block of UDP ports on this machine");
  return first;
}

async function allFree(first, length) {
  const sockets = [];
  const server = createServer();
  try {
    await new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(first, HOST, resolve);
    });
    sockets.push(server);
    for (let port = first; port < first + length; port++) {
      const socket = createSocket("udp4");
      sockets.push(socket);
      await new Promise((resolve, reject) => {
        socket.once("error", reject);
        socket.bind(port, HOST, resolve);
      });
    }
    return true;
  } catch {
    return false;
  } finally {
    for (const socket of sockets) socket.close();
  }
}
