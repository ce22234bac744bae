/** Ways through the client: by mouse, by keyboard, with many people. */
import assert from "node:assert/strict";

const WIDE = { width: 1280, height: 800 };
const id = (name) => `[data-testid=${name}]`;

async function meeting(browser, origin, query = "fake=7", size = WIDE) {
  const page = await browser.page(size);
  await page.goto(`${origin}/m/amber-fjord-oak?name=Ann&autojoin=1&${query}`);
  await page.waitForSelector(`${id("tile")}[data-self=true]`);
  return page;
}

const pressed = (page, name) => page.getAttribute(id(name), "aria-pressed");
const focused = (page) => page.evaluate(() => document.activeElement?.getAttribute("data-testid") ?? document.activeElement?.tagName);

export const driveTests = [
  ["home starts a meeting of three words by keyboard alone", async ({ browser, origin }) => {
    const page = await browser.page(WIDE);
    await page.goto(`${origin}/?fake=2`);
    const words = await page.inputValue(id("home-room"));
    assert.match(words, /^[a-z]+-[a-z]+-[a-z]+$/);
    await page.focus(id("home-room"));
    await page.keyboard.press("Enter");
    await page.waitForSelector(id("prejoin-name"));
    assert.equal(new URL(page.url()).pathname, `/m/${words}`);
    await page.focus(id("prejoin-name"));
    await page.keyboard.press("Enter");
    assert.equal(await focused(page), "prejoin-name", "without a name the field asks for one");
    await page.keyboard.type("Ann");
    await page.keyboard.press("Enter");
    await page.waitForSelector(`${id("tile")}[data-self=true][data-name=Ann]`);
    assert.equal(await page.evaluate(() => JSON.parse(localStorage.getItem("causeway.prefs")).name), "Ann");
    await page.close();
  }],
  ["home opens a pasted link and refuses what is none", async ({ browser, origin }) => {
    const page = await browser.page(WIDE);
    await page.goto(origin);
    await page.fill(id("home-link"), "javascript:alert(1)");
    await page.click(id("home-open"));
    await page.waitForSelector("#link-fault");
    await page.fill(id("home-link"), `${origin}/m/Amber-Fjord-Oak?pretend=203.0.113.9`);
    await page.click(id("home-open"));
    await page.waitForSelector(id("prejoin-join"));
    assert.ok(page.url().endsWith("/m/amber-fjord-oak?pretend=203.0.113.9"));
    await page.close();
  }],
  ["tiles carry who they show", async ({ browser, origin }) => {
    const page = await meeting(browser, origin, "fake=7&share=1");
    const tiles = await page.$$eval(id("tile"), (all) => all.map((tile) => ({ ...tile.dataset })));
    assert.equal(tiles.filter((tile) => tile.source === "camera").length, 7);
    assert.equal(tiles.filter((tile) => tile.source === "screen").length, 1);
    assert.equal(tiles.filter((tile) => tile.self === "true").length, 1);
    await page.click(id("toggle-people"));
    assert.equal(await page.getAttribute(`${id("people-row")}[data-identity=fake-1]`, "data-node"), "sin");
    const state = await page.$eval(id("connection-state"), (element) => ({ ...element.dataset }));
    assert.deepEqual([state.state, state.node], ["connected", "fra"]);
    await page.close();
  }],
  ["keys M, V and C act, but not while typing, and Escape gives the focus back", async ({ browser, origin }) => {
    const page = await meeting(browser, origin);
    assert.equal(await pressed(page, "toggle-mic"), "true");
    await page.keyboard.press("m");
    await page.waitForSelector(`${id("toggle-mic")}[aria-pressed=false]`);
    await page.keyboard.press("v");
    await page.waitForSelector(`${id("toggle-camera")}[aria-pressed=false]`);
    await page.keyboard.press("v");
    await page.waitForSelector(`${id("toggle-camera")}[aria-pressed=true]`);
    await page.keyboard.press("c");
    await page.waitForFunction(() => document.activeElement?.getAttribute("data-testid") === "chat-input");
    await page.keyboard.type("my vcm");
    assert.equal(await pressed(page, "toggle-mic"), "false");
    await page.keyboard.press("Enter");
    await page.waitForSelector(`${id("chat-message")}[data-self=true]`);
    await page.keyboard.press("Escape");
    await page.waitForSelector(id("chat-input"), { state: "detached" });
    assert.equal(await focused(page), "toggle-chat");
    await page.close();
  }],
  ["every control of a meeting is reached by Tab and shows the focus", async ({ browser, origin }) => {
    const page = await meeting(browser, origin, "fake=2");
    const wanted = new Set(["copy-invitation", "toggle-settings", "toggle-mic", "toggle-camera", "toggle-share", "toggle-people", "toggle-chat", "leave"]);
    await page.evaluate(() => document.body.focus());
    for (let i = 0; i < 20 && wanted.size > 0; i++) {
      await page.keyboard.press("Tab");
      const name = await focused(page);
      if (!wanted.delete(name)) continue;
      const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineWidth);
      assert.equal(outline, "2px", `${name} shows the focus`);
    }
    assert.deepEqual([...wanted], []);
    await page.close();
  }],
  ["forty people fit on pages and none of them is lost", async ({ browser, origin }) => {
    const page = await meeting(browser, origin, "fake=40", { width: 360, height: 740 });
    const seen = new Set();
    for (;;) {
      await page.waitForTimeout(200);
      for (const who of await page.$$eval(`${id("tile")}:not([hidden])`, (all) => all.map((tile) => tile.dataset.identity))) seen.add(who);
      const next = page.locator(".pager button").last();
      if (await next.isDisabled()) break;
      await next.click();
    }
    assert.equal(seen.size, 40);
    await page.close();
  }],
  ["video elements are never moved in the document while people come and go", async ({ browser, origin }) => {
    const page = await meeting(browser, origin, "fake=12");
    await page.evaluate(() => {
      globalThis.moved = 0;
      const kept = new Set([...document.querySelectorAll("[data-testid=tile]")].slice(0, 4));
      new MutationObserver((changes) => {
        for (const change of changes) for (const node of change.removedNodes) if (kept.has(node)) globalThis.moved++;
      }).observe(document.querySelector("[data-testid=stage]"), { childList: true, subtree: true });
    });
    for (const count of [30, 6, 40, 5]) {
      await page.evaluate((n) => globalThis.fakeSession.resize(n), count);
      await page.waitForTimeout(150);
    }
    assert.equal(await page.evaluate(() => globalThis.moved), 0);
    await page.close();
  }],
  ["trouble is told once per stage and ends with where one is", async ({ browser, origin }) => {
    const page = await meeting(browser, origin, "fake=3&trouble=1&since=14000");
    await page.waitForSelector(`${id("connection-state")}[data-state=lost]`);
    await page.waitForFunction(() => document.querySelector("[data-testid=announcer]").textContent.startsWith("Still trying"));
    await page.click("text=Try now");
    await page.waitForSelector(`${id("connection-state")}[data-state=connected][data-node=sin]`);
    await page.waitForSelector("text=now through Singapore");
    await page.close();
  }],
  ["leaving lets go of the devices and offers the way back", async ({ browser, origin }) => {
    const page = await meeting(browser, origin, "fake=2");
    const live = () => page.evaluate(() => [...document.querySelectorAll("video")].flatMap((v) => v.srcObject?.getTracks() ?? []).filter((t) => t.readyState === "live" && t.label.startsWith("fake_device")).length);
    assert.equal(await live(), 1);
    await page.click(id("leave"));
    await page.waitForSelector(`${id("left")}[data-reason=left]`);
    assert.equal(await live(), 0);
    await page.click(id("left-again"));
    await page.waitForSelector(id("prejoin-join"));
    await page.close();
  }],
];
