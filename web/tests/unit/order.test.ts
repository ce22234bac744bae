import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EMPTY_ORDER, type Order, SWAP_PAUSE_MS, withPresent, withSpeakers } from "../../src/model/order";

const names = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 40 });

describe("order of tiles", () => {
  it("keeps everybody's place when somebody joins or leaves", () => {
    fc.assert(
      fc.property(names, names, (before, after) => {
        const order = withPresent(withPresent(EMPTY_ORDER, before), after);
        const staying = before.filter((name) => after.includes(name));
        expect(order.places.filter((name) => staying.includes(name))).toEqual(staying);
        expect([...order.places].sort()).toEqual([...after].sort());
      }),
    );
  });

  it("does not move a speaker who is visible", () => {
    const order = withPresent(EMPTY_ORDER, ["a", "b", "c", "d"]);
    expect(withSpeakers(order, ["b"], 0, 2, 0).places).toEqual(order.places);
  });

  it("gives a hidden speaker the place of the one silent longest", () => {
    let order: Order = withPresent(EMPTY_ORDER, ["a", "b", "c"]);
    order = withSpeakers(order, ["a"], 0, 2, 10);
    order = withSpeakers(order, ["c"], 0, 2, 20);
    expect(order.places).toEqual(["a", "c", "b"]);
  });

  it("swaps at most one pair in a second", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ who: fc.integer({ min: 0, max: 19 }), wait: fc.integer({ min: 0, max: 400 }) }), { maxLength: 60 }), (talk) => {
        let order = withPresent(EMPTY_ORDER, Array.from({ length: 20 }, (_, i) => `p${i}`));
        let now = 0;
        let last = Number.NEGATIVE_INFINITY;
        for (const { who, wait } of talk) {
          now += wait;
          const next = withSpeakers(order, [`p${who}`], 0, 6, now);
          const moved = next.places.filter((name, i) => name !== order.places[i]).length;
          expect([0, 2]).toContain(moved);
          if (moved > 0) {
            expect(now - last).toBeGreaterThanOrEqual(SWAP_PAUSE_MS);
            last = now;
          }
          order = next;
        }
      }),
    );
  });
});
