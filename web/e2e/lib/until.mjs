/** Waiting for something to become true, with a deadline that says what was missing. */

const PAUSE_MS = 250;

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Asks `probe` again and again until it answers `{ done: true, ... }`, and answers that.
 * After `withinMs` it throws an error that carries `what` and the last `seen`.
 * Deadlines here end hopeless waits; they are no claims about speed.
 */
export async function until(what, withinMs, probe) {
  const deadline = Date.now() + withinMs;
  let last = null;
  for (;;) {
    try {
      last = await probe();
      if (last.done) return last;
    } catch (error) {
      last = { seen: String(error?.message ?? error) };
    }
    if (Date.now() > deadline) {
      throw new Error(`${what}: not within ${withinMs / 1000} s; last seen: ${JSON.stringify(last?.seen)}`);
    }
    await pause(PAUSE_MS);
  }
}
