/** Devices that are refused or missing must not keep anybody out. */
import assert from "node:assert/strict";

const id = (name) => `[data-testid=${name}]`;

export const deviceTests = [
  [
    "refused devices are replaced by the way to allow them, and one can join all the same",
    async ({ browser, origin }) => {
      const page = await browser.page({ width: 1280, height: 900 });
      await page.goto(`${origin}/m/amber-fjord-oak?name=Ann&fake=2`);
      await page.waitForSelector(`${id("fault-mic")}[data-fault=denied]`);
      await page.waitForSelector(`${id("fault-camera")}[data-fault=denied]`);
      assert.match(await page.textContent(id("fault-mic")), /left of the address/);
      await page.click(id("prejoin-join"));
      await page.waitForSelector(`${id("tile")}[data-self=true]`);
      await page.click(id("toggle-mic"));
      await page.waitForFunction(() => document.querySelector("[data-testid=toast]")?.textContent.includes("left of the address"));
      assert.equal(await page.getAttribute(id("toggle-mic"), "aria-pressed"), "false");
      await page.close();
    },
    { devices: false },
  ],
  [
    "joining without camera closes it and keeps the microphone",
    async ({ browser, origin }) => {
      const page = await browser.page({ width: 1280, height: 900 });
      await page.goto(`${origin}/m/amber-fjord-oak?name=Ann&fake=2`);
      await page.waitForSelector(".preview video:not([hidden])");
      await page.click(id("prejoin-join-no-camera"));
      await page.waitForSelector(`${id("tile")}[data-self=true]`);
      assert.equal(await page.getAttribute(id("toggle-camera"), "aria-pressed"), "false");
      assert.equal(await page.getAttribute(id("toggle-mic"), "aria-pressed"), "true");
      await page.close();
    },
  ],
  [
    "the chosen device and original sound are remembered",
    async ({ browser, origin }) => {
      const page = await browser.page({ width: 1280, height: 900 });
      await page.goto(`${origin}/m/amber-fjord-oak?fake=2`);
      await page.waitForFunction(() => document.querySelectorAll("[data-testid=device-mic] option").length > 1);
      const chosen = await page.$eval(`${id("device-mic")} option:last-child`, (option) => option.value);
      await page.selectOption(id("device-mic"), chosen);
      await page.uncheck(id("prejoin-noise"));
      await page.reload();
      await page.waitForFunction((value) => document.querySelector("[data-testid=device-mic]")?.value === value, chosen);
      assert.equal(await page.isChecked(id("prejoin-noise")), false);
      await page.evaluate(() => localStorage.clear());
      await page.close();
    },
  ],
];
