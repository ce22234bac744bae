/** Asking a page whose tones it hears. The listening itself happens in page/tones.js. */
import { pause, until } from "./until.mjs";

/** Instants at which a tone must have stood out before somebody counts as heard. */
const TIMES = 4;

/** Waits until a page hears the tones of exactly these senders. */
export async function hears(page, who, ids, withinMs) {
  const wanted = [...ids].sort((a, b) => a - b);
  await page.evaluate(() => {
    window.__tones.forget();
    window.__tones.start();
  });
  const { heard } = await until(`${who} hears the tones of ${wanted}`, withinMs, async () => {
    const heard = await page.evaluate(() => window.__tones.heard());
    const found = heard.senders.filter((each) => each.times >= TIMES).map((each) => each.id);
    return { done: `${found.sort((a, b) => a - b)}` === `${wanted}`, seen: heard, heard };
  });
  await page.evaluate(() => window.__tones.stop());
  return heard;
}

/** What a page hears within `forMs` from now. */
export async function heardFromNow(page, forMs) {
  await page.evaluate(() => {
    window.__tones.forget();
    window.__tones.start();
  });
  await pause(forMs);
  const heard = await page.evaluate(() => window.__tones.heard());
  await page.evaluate(() => window.__tones.stop());
  return heard;
}
