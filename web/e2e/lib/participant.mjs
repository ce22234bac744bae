/** A person in a meeting: a browser with our web client, reaching the mesh from a city of its own. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startBrowser } from "./browser.mjs";
import { forget } from "./picture.mjs";
import { startProxy } from "./proxy.mjs";
import { until } from "./until.mjs";

const CONNECTED_WITHIN_MS = 90_000;

/** Cities with a real public address each (universities) and the node that is nearest to them. */
export const CITIES = {
  berlin: { address: "141.20.1.1", node: "fra" },
  london: { address: "128.16.5.1", node: "fra" },
  singapore: { address: "137.132.1.1", node: "sin" },
  mumbai: { address: "103.21.124.1", node: "sin" },
  sydney: { address: "129.78.5.1", node: "syd" },
  auckland: { address: "130.216.1.1", node: "syd" },
};

/**
 * Opens a meeting link as somebody in `city`. The first node they meet is `door`; which one serves them is the mesh's
 * choice. Answers when the page says that it is connected.
 */
export async function enter({ id, city, door, room, takeFrames = false, size }) {
  const { address } = CITIES[city];
  const name = nameOf(id, city);
  const proxy = await startProxy(door.origin, address);
  let browser;
  try {
    browser = await startBrowser(id, { takeFrames, size });
    const { page } = browser;
    await page.goto(`${proxy.origin}/m/${room}?autojoin=1&name=${encodeURIComponent(name)}`);
    const person = {
      id,
      city,
      takeFrames,
      name,
      page,
      console: browser.console,
      /** Name of the node that serves this person now. */
      node: () => page.locator("[data-testid=connection-state]").getAttribute("data-node"),
      async leave() {
        await browser.close().catch(() => {});
        await proxy.close();
      },
    };
    await connected(person);
    // The preview before joining is one's own picture.
    await forget(page);
    return person;
  } catch (error) {
    error.message += `\nconsole of ${name}:\n${browser?.console.slice(-30).join("\n")}`;
    await browser?.close().catch(() => {});
    await proxy.close();
    throw error;
  }
}

/** Long enough not to occur by chance where it is searched for. */
const nameOf = (id, city) => `Person ${id} of ${city}`;

/** Waits until the page of our client says that it is in the meeting. */
export async function connected({ page, name }) {
  await until(`${name} is connected`, CONNECTED_WITHIN_MS, async () => {
    const state = page.locator("[data-testid=connection-state]");
    if ((await state.count()) === 1) {
      const shown = await state.getAttribute("data-state");
      return { done: shown === "connected", seen: shown };
    }
    const fault = page.locator("[data-testid=join-error]");
    return { done: false, seen: (await fault.count()) ? await fault.innerText() : "not in the meeting yet" };
  });
}

/** Leaves for people to look at: a picture of the page and what it wrote to its console. */
export async function keep(person, results) {
  const base = join(results, `${person.id}-${person.city}`);
  await person.page.screenshot({ path: `${base}.png`, timeout: 10_000 }).catch(() => {});
  await writeFile(`${base}.console.log`, person.console.join("\n"));
}

/** Opens a panel (`people`, `chat`) unless it is open. */
export async function openPanel(person, panel) {
  const shown = person.page.locator(`[data-testid=panel-${panel}]`);
  if (await shown.count()) return;
  await person.page.click(`[data-testid=toggle-${panel}]`);
  await shown.waitFor();
}

export async function say(person, text) {
  await openPanel(person, "chat");
  await person.page.fill("[data-testid=chat-input]", text);
  await person.page.click("[data-testid=chat-send]");
}

/** Waits until a person reads `text` in the chat from `sender`. */
export async function reads(person, text, sender, withinMs) {
  await openPanel(person, "chat");
  await until(`${person.name} reads the message`, withinMs, async () => {
    const messages = await person.page.$$eval("[data-testid=chat-message]", (all) =>
      all.map((each) => ({ from: each.dataset.from, text: each.querySelector(".chat-text")?.textContent ?? "" })),
    );
    return { done: messages.some((each) => each.from === sender && each.text.includes(text)), seen: messages };
  });
}
