/** Asking a page whose moving pictures it shows. The reading itself happens in page/pictures.js. */
import { until } from "./until.mjs";

/** Different frames in a row that make a picture a moving one. */
const MOVING_FRAMES = 12;

export const seen = (page) => page.evaluate(() => window.__pictures.seen());
export const forget = (page) => page.evaluate(() => window.__pictures.forget());
export const measureGaps = (page) => page.evaluate(() => window.__pictures.measureGaps());

/** Waits until a page decodes moving video of exactly these senders, told by their pictures. Answers what it saw. */
export async function showsMoving(page, who, ids, withinMs) {
  const wanted = [...ids].sort((a, b) => a - b);
  const { senders } = await until(`${who} decodes moving video of ${wanted}`, withinMs, async () => {
    const { senders, sampled } = await seen(page);
    const moving = senders.filter((each) => each.changes >= MOVING_FRAMES);
    const found = moving.map((each) => each.id).sort((a, b) => a - b);
    return { done: `${found}` === `${wanted}`, seen: { changes: senders.map(({ id, changes }) => ({ id, changes })), sampled }, senders };
  });
  return new Map(senders.map((each) => [each.id, each]));
}
