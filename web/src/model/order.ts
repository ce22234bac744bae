/**
 * Which tiles are on the shown page, and in which order. Nobody moves while visible: people keep the place they got
 * when they came; a speaker who is off the page takes the place of the visible person who has been silent longest,
 * at most once a second. Pure.
 */

/** Least time between two swaps, so that a lively discussion does not make the page dance. */
export const SWAP_PAUSE_MS = 1000;

export interface Order {
  /** Identities in the order of their places. */
  places: readonly string[];
  /** When each identity was last heard, by the caller's clock. */
  heardAtMs: Readonly<Record<string, number>>;
  swappedAtMs: number;
}

export const EMPTY_ORDER: Order = { places: [], heardAtMs: {}, swappedAtMs: Number.NEGATIVE_INFINITY };

/** Takes in who is present now: those who left free their place, those who came take the last places. */
export function withPresent(order: Order, present: readonly string[]): Order {
  const here = new Set(present);
  const staying = order.places.filter((identity) => here.has(identity));
  const known = new Set(staying);
  const places = [...staying, ...present.filter((identity) => !known.has(identity))];
  if (places.length === order.places.length && places.every((identity, i) => identity === order.places[i])) return order;
  const heardAtMs = Object.fromEntries(Object.entries(order.heardAtMs).filter(([identity]) => here.has(identity)));
  return { ...order, places, heardAtMs };
}

/**
 * Takes in who speaks now and, where the first of them is not on the page `start..end`, gives that person the place of
 * the visible one who has been silent longest. Speakers on the page are never moved.
 */
export function withSpeakers(order: Order, speakers: readonly string[], start: number, end: number, nowMs: number): Order {
  if (speakers.length === 0) return order;
  const heardAtMs = { ...order.heardAtMs };
  for (const identity of speakers) heardAtMs[identity] = nowMs;
  const heard: Order = { ...order, heardAtMs };
  if (nowMs - order.swappedAtMs < SWAP_PAUSE_MS) return heard;
  const shown = order.places.slice(start, end);
  const hidden = speakers.find((identity) => order.places.includes(identity) && !shown.includes(identity));
  if (hidden === undefined) return heard;
  const silent = shown
    .filter((identity) => !speakers.includes(identity))
    .reduce<string | undefined>((a, b) => (a === undefined || (heardAtMs[b] ?? 0) <= (heardAtMs[a] ?? 0) ? b : a), undefined);
  if (silent === undefined) return heard;
  const places = order.places.map((identity) => (identity === hidden ? silent : identity === silent ? hidden : identity));
  return { places, heardAtMs, swappedAtMs: nowMs };
}
