/**
 * The stage: shows tiles, and owns every video element of a meeting. It is driven by plain lists, lays them out with
 * `model/layout` and knows neither the state of the meeting nor the framework of the chrome around it.
 */
import { type Arrangement, arrange, pageSize, type Rect, type Room } from "../model/layout";
import type { Tile } from "../model/tiles";
import { TileNode, type TileWords } from "./tile";

export interface StageHooks {
  words: TileWords;
  /** Loudness of a person now, `0..1`. */
  level(identity: string): number;
  /** How many other people fit on a page now. */
  capacity(perPage: number): void;
}

export class Stage {
  private readonly nodes = new Map<string, TileNode>();
  private readonly observer: ResizeObserver;
  private tiles: readonly Tile[] = [];
  private perPage = 0;
  private frame = 0;

  constructor(
    private readonly host: HTMLElement,
    private readonly hooks: StageHooks,
  ) {
    this.observer = new ResizeObserver(() => this.layOut());
    this.observer.observe(host);
  }

  /** Shows exactly these tiles. */
  update(tiles: readonly Tile[]): void {
    this.tiles = tiles;
    const wanted = new Set(tiles.map((tile) => tile.key));
    for (const [key, node] of this.nodes) {
      if (wanted.has(key)) continue;
      node.remove();
      this.nodes.delete(key);
    }
    for (const tile of tiles) this.node(tile).update(tile, this.hooks.words);
    this.layOut();
    this.animate();
  }

  close(): void {
    this.observer.disconnect();
    cancelAnimationFrame(this.frame);
    for (const node of this.nodes.values()) node.remove();
    this.nodes.clear();
  }

  private node(tile: Tile): TileNode {
    const known = this.nodes.get(tile.key);
    if (known) return known;
    const node = new TileNode(tile);
    this.nodes.set(tile.key, node);
    this.host.append(node.element);
    return node;
  }

  private layOut(): void {
    const room = this.room();
    if (room.width < 1 || room.height < 1) return;
    const count = (place: Tile["place"]) => this.tiles.filter((tile) => tile.place === place).length;
    const large = count("large");
    const own = count("self") > 0;
    this.reportCapacity(Math.max(1, pageSize(room, large > 0) - (own && large > 0 ? 1 : 0)));
    const plan = arrange(room, large, count("grid"), own);
    const rects = new Map<string, Rect>();
    this.assign(plan, rects);
    for (const tile of this.tiles) this.nodes.get(tile.key)?.place(rects.get(tile.key) ?? null);
  }

  private assign(plan: Arrangement, rects: Map<string, Rect>): void {
    const give = (place: Tile["place"], list: readonly (Rect | null)[]) =>
      this.tiles
        .filter((tile) => tile.place === place)
        .forEach((tile, index) => {
          const rect = list[index];
          if (rect) rects.set(tile.key, rect);
        });
    give("large", plan.large);
    give("grid", plan.tiles);
    give("self", [plan.self]);
  }

  private room(): Room {
    const { width, height } = this.host.getBoundingClientRect();
    const gap = Number.parseFloat(getComputedStyle(this.host).getPropertyValue("--tile-gap")) || 0;
    return { width, height, gap };
  }

  private reportCapacity(perPage: number): void {
    if (perPage === this.perPage) return;
    this.perPage = perPage;
    // The answer changes the list of tiles, so it must not arrive while this list is being placed.
    queueMicrotask(() => this.hooks.capacity(perPage));
  }

  /** One loop for all levels, running only while somebody speaks. */
  private animate(): void {
    cancelAnimationFrame(this.frame);
    const speaking = this.tiles.filter((tile) => tile.speaking && tile.place !== "off");
    if (speaking.length === 0) return;
    const step = () => {
      for (const tile of speaking) this.nodes.get(tile.key)?.level(this.hooks.level(tile.identity));
      this.frame = requestAnimationFrame(step);
    };
    this.frame = requestAnimationFrame(step);
  }
}
