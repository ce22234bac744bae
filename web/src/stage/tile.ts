/** One tile of the stage: a DOM node that is made once, keeps its place in the document and is only ever updated. */
import { initials, nameHue, type Picture } from "../model/person";
import type { Rect } from "../model/layout";
import type { Tile } from "../model/tiles";

/** The words a tile needs; given by the caller so that the stage knows no language. */
export interface TileWords {
  label(tile: Tile): string;
  spoken(tile: Tile): string;
}

export class TileNode {
  readonly element: HTMLElement;
  private readonly video: HTMLVideoElement;
  private readonly card: HTMLElement;
  private readonly label: HTMLElement;
  private picture: Picture | null = null;
  private shown: Tile | null = null;

  constructor(tile: Tile) {
    this.element = node("div", "tile");
    this.element.setAttribute("role", "group");
    this.element.dataset["testid"] = "tile";
    this.element.dataset["identity"] = tile.identity;
    this.element.dataset["source"] = tile.source;
    this.element.dataset["self"] = String(tile.self);
    this.element.style.setProperty("--card", `var(--card-${nameHue(tile.identity)})`);
    this.card = node("div", "tile-card");
    this.card.setAttribute("aria-hidden", "true");
    this.video = document.createElement("video");
    this.video.className = "tile-video";
    this.video.muted = true;
    this.video.autoplay = true;
    this.video.playsInline = true;
    this.video.disablePictureInPicture = false;
    // A picture is shown once there is one, not as soon as it is promised.
    this.video.addEventListener("loadeddata", () => this.element.toggleAttribute("data-picture", this.picture !== null));
    this.label = node("div", "tile-label");
    this.label.setAttribute("aria-hidden", "true");
    this.element.append(this.card, this.video, node("div", "tile-ring"), this.label);
  }

  /** Brings the node in line with what it stands for. Touches the document only where something changed. */
  update(tile: Tile, words: TileWords): void {
    const before = this.shown;
    this.shown = tile;
    if (before?.name !== tile.name) {
      this.element.dataset["name"] = tile.name;
      this.card.textContent = initials(tile.name);
    }
    if (!before || before.name !== tile.name || before.micOn !== tile.micOn || before.speaking !== tile.speaking || isPaused(before) !== isPaused(tile)) {
      this.label.textContent = words.label(tile);
      this.element.setAttribute("aria-label", words.spoken(tile));
      this.element.toggleAttribute("data-muted", !tile.micOn && tile.source === "camera");
      this.element.toggleAttribute("data-speaking", tile.speaking);
      this.element.toggleAttribute("data-paused", isPaused(tile));
      this.element.title = isPaused(tile) ? words.spoken(tile) : "";
      if (!tile.speaking) this.element.style.removeProperty("--level");
    }
    if (before?.place !== tile.place) this.element.dataset["place"] = tile.place;
    this.show(tile.picture);
  }

  /** Puts the node at a rectangle of the stage, or takes it out of sight, where its picture is paused at the node. */
  place(rect: Rect | null): void {
    this.element.hidden = rect === null;
    if (rect === null) return;
    const { style } = this.element;
    style.setProperty("--x", `${rect.x.toFixed(2)}px`);
    style.setProperty("--y", `${rect.y.toFixed(2)}px`);
    style.setProperty("--w", `${rect.width.toFixed(2)}px`);
    style.setProperty("--h", `${rect.height.toFixed(2)}px`);
    this.element.toggleAttribute("data-small", rect.width < 180 || rect.height < 110);
  }

  /** Loudness of a speaking person, `0..1`. */
  level(value: number): void {
    this.element.style.setProperty("--level", value.toFixed(2));
  }

  remove(): void {
    this.picture?.feed.detach(this.video);
    this.element.remove();
  }

  private show(picture: Picture | null): void {
    if (picture?.id === this.picture?.id && picture?.feed === this.picture?.feed) return;
    this.picture?.feed.detach(this.video);
    this.picture = picture;
    this.element.removeAttribute("data-picture");
    picture?.feed.attach(this.video);
  }
}

const isPaused = (tile: Tile): boolean => tile.picture?.paused ?? false;

function node(name: string, className: string): HTMLElement {
  const element = document.createElement(name);
  element.className = className;
  return element;
}
