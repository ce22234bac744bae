/** Serves a few files of our own to a browser: pages that are not part of the product. */
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { REPOSITORY } from "./paths.mjs";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript" };

/** Serves `files` (path to file name) on a free port of this machine. */
export async function servePages(files) {
  const server = createServer(async (request, answer) => {
    const file = files[new URL(request.url, "http://127.0.0.1").pathname];
    if (!file) {
      answer.writeHead(404).end();
      return;
    }
    try {
      const body = await readFile(file);
      answer.writeHead(200, { "content-type": `${TYPES[extname(file)]}; charset=utf-8` }).end(body);
    } catch (error) {
      answer.writeHead(500).end(`${error}`);
    }
  });
  await new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => new Promise((resolve) => server.close(resolve)) };
}

/** The files of a page with nothing but the SDK, unmodified, and what tests ask of it. */
export const SDK_PAGE = {
  "/": join(REPOSITORY, "loadtest/sdk/page.html"),
  "/page.js": join(REPOSITORY, "loadtest/sdk/page.js"),
  "/livekit-client.js": join(REPOSITORY, "web/node_modules/livekit-client/dist/livekit-client.umd.js"),
};
