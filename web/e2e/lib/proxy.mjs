/**
 * A reverse proxy as it stands before a node in production: passes HTTP and WebSocket on and says in `X-Forwarded-For`
 * from which public address the request came. Here that address is made up, one per participant.
 */
import { createServer, request } from "node:http";
import { connect } from "node:net";

/** Starts a proxy to `target` (`http://host:port`) for somebody at `address`. Answers its origin and ways to break and end it. */
export async function startProxy(target, address) {
  const { hostname, port } = new URL(target);
  const headersFor = (incoming) => ({ ...incoming.headers, "x-forwarded-for": address });
  const sockets = new Set();

  const server = createServer((incoming, outgoing) => {
    const options = { hostname, port, method: incoming.method, path: incoming.url, headers: headersFor(incoming) };
    const onward = request(options, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    onward.once("error", () => {
      if (!outgoing.headersSent) outgoing.writeHead(502);
      outgoing.end();
    });
    incoming.pipe(onward);
  });
  server.on("upgrade", (incoming, near, head) => {
    const far = connect(Number(port), hostname, () => {
      const lines = Object.entries(headersFor(incoming)).map(([name, value]) => `${name}: ${value}\r\n`);
      far.write(`${incoming.method} ${incoming.url} HTTP/1.1\r\n${lines.join("")}\r\n`);
      far.write(head);
      far.pipe(near).pipe(far);
    });
    far.on("error", () => near.destroy());
    near.on("error", () => far.destroy());
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });

  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    /** Breaks every connection; new ones are taken. */
    cut,
    async close() {
      cut();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
