/**
 * Takes pictures of every screen, narrow and wide, by day and by night, into the folder named by the first argument.
 * `node tests/ui/screens.mjs /tmp/screens [part of a name]`
 */
import { mkdir } from "node:fs/promises";
import { startBrowser, startServer } from "./browser.mjs";
import { LOOKS, open, SCREENS } from "./screens-list.mjs";

const [folder = "screens", only = ""] = process.argv.slice(2);
await mkdir(folder, { recursive: true });
const server = await startServer();
const browser = await startBrowser();
try {
  for (const name of Object.keys(SCREENS)) {
    for (const look of LOOKS) {
      if (!`${name}-${look.look}`.includes(only)) continue;
      const page = await open(browser, server.origin, name, look);
      await page.screenshot({ path: `${folder}/${name}-${look.look}.png` });
      await page.close();
    }
  }
} finally {
  await browser.close();
  await server.close();
}
