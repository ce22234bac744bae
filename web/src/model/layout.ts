/**
 * Where tiles go. Pure functions from "how many tiles, in what room" to rectangles; they hold for any number of tiles,
 * never let two rectangles overlap and never leave the given area. All lengths are CSS pixels.
 */

export interface Size {
  width: number;
  height: number;
}

export interface Rect extends Size {
  x: number;
  y: number;
}

/** The part of a plan that places tiles: one rectangle for each placed tile, in the order given. */
export interface Arrangement {
  /** Rectangles of the large tiles (shared screens) that were placed, first to last. */
  large: Rect[];
  /** Rectangles of the ordinary tiles of the shown page. */
  tiles: Rect[];
  /** The own tile, or null where it was not asked for. */
  self: Rect | null;
}

export interface Room {
  width: number;
  height: number;
  gap: number;
}

/** Widest and narrowest shape of a tile (width divided by height). */
export const WIDEST = 16 / 9;
export const NARROWEST = 3 / 4;

/** Most tiles on a page: more than this costs a laptop too much to decode, whatever the size of its screen. */
export const MAX_TILES_PER_PAGE = 25;

/** A tile is never planned smaller than this on a page that could hold fewer; beside a shared screen it may be smaller. */
const LEAST_TILE: Size = { width: 132, height: 88 };
const LEAST_STRIP_TILE: Size = { width: 96, height: 64 };

/** How many tiles fit on a page without becoming too small to recognise a face. At least 1. */
export function pageSize(room: Room, large: boolean): number {
  const area = large ? stripRoom(room) : room;
  const least = large ? LEAST_STRIP_TILE : LEAST_TILE;
  const columns = Math.max(1, Math.floor((area.width + room.gap) / (least.width + room.gap)));
  const rows = Math.max(1, Math.floor((area.height + room.gap) / (least.height + room.gap)));
  return Math.min(MAX_TILES_PER_PAGE, columns * rows);
}

/** Size of the own tile: small, but still recognisable, never more than a third of the room either way. */
export function selfSize(room: Room): Size {
  const width = Math.min(208, Math.max(88, room.width * 0.17), room.width / 3);
  const height = Math.min(width / WIDEST, room.height / 3);
  return { width, height };
}

/**
 * Arranges one page: `large` shared screens, `tiles` ordinary tiles and, if `self`, the own tile in the last corner.
 * With nobody else there the own tile is an ordinary one.
 */
export function arrange(room: Room, large: number, tiles: number, self: boolean): Arrangement {
  if (large > 0) return arrangeShare(room, large, tiles + (self ? 1 : 0), self);
  if (tiles === 0) {
    const alone = self ? grid(room, 1) : [];
    return { large: [], tiles: [], self: alone[0] ?? null };
  }
  if (!self) return { large: [], tiles: grid(room, tiles), self: null };
  return arrangeAround(room, tiles);
}

/** The best grid that leaves the last corner to the own tile: in free space if there is any, else beside or below. */
function arrangeAround(room: Room, tiles: number): Arrangement {
  const size = selfSize(room);
  const self: Rect = { x: room.width - size.width, y: room.height - size.height, ...size };
  const beside: Room = { ...room, width: Math.max(1, room.width - size.width - room.gap) };
  const above: Room = { ...room, height: Math.max(1, room.height - size.height - room.gap) };
  const clear = grid(room, tiles, (rects) => rects.every((rect) => !touches(rect, self, room.gap)));
  const candidates = [clear, grid(beside, tiles), grid(above, tiles)].filter((rects) => rects.length === tiles);
  const best = candidates.reduce((a, b) => (area(b) > area(a) + 0.5 ? b : a));
  return { large: [], tiles: best, self };
}

/** Shared screens take most of the room; everybody else stands in a strip beside (or, in a tall room, below) them. */
function arrangeShare(room: Room, large: number, others: number, self: boolean): Arrangement {
  if (others === 0) return { large: grid(room, large), tiles: [], self: null };
  const strip = stripRoom(room);
  const side = isWide(room);
  const main: Room = side
    ? { ...room, width: room.width - strip.width - room.gap }
    : { ...room, height: room.height - strip.height - room.gap };
  const offset = side ? { x: room.width - strip.width, y: 0 } : { x: 0, y: room.height - strip.height };
  const placed = grid(strip, others, undefined, side ? "start" : "centre").map((rect) => ({
    ...rect,
    x: rect.x + offset.x,
    y: rect.y + offset.y,
  }));
  const own = self ? (placed.pop() ?? null) : null;
  return { large: grid(main, large, undefined, "centre", 4), tiles: placed, self: own };
}

function isWide(room: Room): boolean {
  return room.width > room.height * 1.15;
}

/** The room of the strip beside or below a shared screen. */
function stripRoom(room: Room): Room {
  return isWide(room)
    ? { ...room, width: Math.min(320, room.width * 0.4, Math.max(120, room.width * 0.2)) }
    : { ...room, height: Math.min(220, room.height * 0.4, Math.max(72, room.height * 0.24)) };
}

/**
 * Places `count` tiles of equal size in rows, the last row centred, with the number of columns that makes them largest.
 * Only arrangements that `accepts` allows are considered; none left gives an empty list. Costs O(count²).
 */
function grid(
  room: Room,
  count: number,
  accepts: (rects: Rect[]) => boolean = () => true,
  vertical: "centre" | "start" = "centre",
  widest: number = WIDEST,
): Rect[] {
  let best: Rect[] = [];
  for (let columns = 1; columns <= count; columns++) {
    const rects = rows(room, count, columns, vertical, widest);
    if (area(rects) > area(best) + 0.5 && accepts(rects)) best = rects;
  }
  return best;
}

function rows(room: Room, count: number, columns: number, vertical: "centre" | "start", widest: number): Rect[] {
  const lines = Math.ceil(count / columns);
  const gap = Math.min(room.gap, room.width / (columns * 4), room.height / (lines * 4));
  const cell: Size = {
    width: (room.width - gap * (columns - 1)) / columns,
    height: (room.height - gap * (lines - 1)) / lines,
  };
  const width = Math.min(cell.width, cell.height * widest);
  const height = Math.min(cell.height, width / NARROWEST);
  const top = vertical === "start" ? 0 : (room.height - lines * height - (lines - 1) * gap) / 2;
  return Array.from({ length: count }, (_, index) => {
    const line = Math.floor(index / columns);
    const inLine = Math.min(columns, count - line * columns);
    const left = (room.width - inLine * width - (inLine - 1) * gap) / 2;
    return { x: left + (index % columns) * (width + gap), y: top + line * (height + gap), width, height };
  });
}

/** Size of one tile, as the measure of an arrangement; shapes near the picture's own are preferred. */
function area(rects: Rect[]): number {
  const first = rects[0];
  if (!first) return -1;
  const shown = Math.min(first.width, first.height * WIDEST) * Math.min(first.height, first.width / 1.2);
  return shown;
}

function touches(a: Rect, b: Rect, gap: number): boolean {
  return a.x < b.x + b.width + gap && b.x < a.x + a.width + gap && a.y < b.y + b.height + gap && b.y < a.y + a.height + gap;
}
