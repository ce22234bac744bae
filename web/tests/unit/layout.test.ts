import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Arrangement, arrange, MAX_TILES_PER_PAGE, pageSize, type Rect, type Room, selfSize } from "../../src/model/layout";

const room = fc.record({ width: fc.integer({ min: 120, max: 4000 }), height: fc.integer({ min: 90, max: 2400 }), gap: fc.constantFrom(0, 4, 8) });
const SLACK = 0.01;

function all(plan: Arrangement): Rect[] {
  return [...plan.large, ...plan.tiles, ...(plan.self ? [plan.self] : [])];
}

function inside(rect: Rect, area: Room): boolean {
  const right = rect.x + rect.width;
  const bottom = rect.y + rect.height;
  return rect.x >= -SLACK && rect.y >= -SLACK && right <= area.width + SLACK && bottom <= area.height + SLACK;
}

function overlap(a: Rect, b: Rect): boolean {
  const x = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const y = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  return x > SLACK && y > SLACK;
}

function check(area: Room, large: number, tiles: number, self: boolean): void {
  const plan = arrange(area, large, tiles, self);
  expect(plan.large).toHaveLength(large);
  expect(plan.tiles).toHaveLength(tiles);
  expect(plan.self !== null).toBe(self);
  const rects = all(plan);
  const wrong = rects.flatMap((rect, i) => [
    ...(inside(rect, area) && rect.width > 0 && rect.height > 0 ? [] : [`${i} leaves the room`]),
    ...rects.slice(i + 1).flatMap((other, j) => (overlap(rect, other) ? [`${i} and ${i + 1 + j} overlap`] : [])),
  ]);
  if (wrong.length > 0) throw new Error(JSON.stringify({ area, wrong, rects }));
}

describe("layout", () => {
  it("places any number of tiles inside the room without overlap", () => {
    fc.assert(fc.property(room, fc.integer({ min: 0, max: 60 }), fc.boolean(), (area, tiles, self) => check(area, 0, tiles, self)));
  });

  it("keeps shared screens, their strip and the own tile apart", () => {
    fc.assert(
      fc.property(room, fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 25 }), fc.boolean(), (area, large, tiles, self) =>
        check(area, large, tiles, self),
      ),
    );
  });

  it("gives all ordinary tiles one size", () => {
    fc.assert(
      fc.property(room, fc.integer({ min: 1, max: 40 }), (area, tiles) => {
        const sizes = arrange(area, 0, tiles, true).tiles.map((rect) => `${rect.width.toFixed(3)}x${rect.height.toFixed(3)}`);
        expect(new Set(sizes).size).toBe(1);
      }),
    );
  });

  it("uses most of a wide room for nine tiles", () => {
    const { tiles } = arrange({ width: 1440, height: 800, gap: 8 }, 0, 9, false);
    const used = tiles.reduce((sum, rect) => sum + rect.width * rect.height, 0);
    expect(used / (1440 * 800)).toBeGreaterThan(0.9);
  });

  it("keeps the own tile small while others are there and large while they are not", () => {
    const area = { width: 1440, height: 800, gap: 8 };
    expect(arrange(area, 0, 3, true).self?.width).toBe(selfSize(area).width);
    expect(arrange(area, 0, 0, true).self?.width).toBeGreaterThan(1300);
  });

  it("holds at least one tile and at most the limit on a page, with readable tiles in between", () => {
    fc.assert(
      fc.property(room, fc.boolean(), (area, large) => {
        const count = pageSize(area, large);
        expect(count).toBeGreaterThanOrEqual(1);
        expect(count).toBeLessThanOrEqual(MAX_TILES_PER_PAGE);
      }),
    );
    expect(pageSize({ width: 344, height: 590, gap: 8 }, false)).toBe(12);
    expect(pageSize({ width: 1440, height: 800, gap: 8 }, false)).toBe(25);
  });
});
