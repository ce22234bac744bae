/** Every screen, narrow and wide, by day and by night: no axe violation, nothing wider than the window. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { LOOKS, open, SCREENS } from "./screens-list.mjs";

const AXE = readFileSync(new URL("../../node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

async function violations(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return found.violations.map((rule) => `${rule.id}: ${rule.nodes.map((node) => node.html.slice(0, 140)).join(" | ")}`);
}

export const accessibilityTests = Object.keys(SCREENS).map((name) => [
  `${name} is accessible and fits`,
  async ({ browser, origin }) => {
    for (const look of LOOKS) {
      const page = await open(browser, origin, name, look);
      assert.deepEqual(await violations(page), [], look.look);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(overflow <= 0, `${look.look}: ${overflow} px wider than the window`);
      await page.close();
    }
    const page = await open(browser, origin, name, { look: "zoomed", width: 320, height: 512 });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `320 px: ${overflow} px wider than the window`);
    await page.close();
  },
]);
