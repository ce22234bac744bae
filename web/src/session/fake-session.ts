/**
 * A meeting without a network, for looking at the client while developing: `/m/demo?fake=40`. The people in it move,
 * speak, write, share (`&share=1`) and lose the connection (`&trouble=1`). Never part of a production build.
 */
import type { LinkState } from "../model/connection";
import type { Person, Picture } from "../model/person";
import { localFeed, localPictures, type LocalMedia } from "./local-media";
import type { FactListener, Session } from "./port";

const NAMES = ["Mei Tanaka", "Björn Ek", "Ada", "João da Silva", "Dr. Wilhelmina van der Hoogenband-Petrovic", "Sam Okafor", "Lena", "Priya Raman"];
const NODES = [
  ["fra", "Frankfurt"],
  ["sin", "Singapore"],
  ["syd", "Sydney"],
] as const;

export function createSession(_room: string, name: string, media: LocalMedia, tell: FactListener): Session {
  return new FakeSession(name, media, tell);
}

class FakeSession implements Session {
  private readonly query = new URLSearchParams(location.search);
  private readonly people: Person[];
  private readonly timers: ReturnType<typeof setInterval>[] = [];
  private readonly stopMedia: () => void;
  private speakers: string[] = [];
  private link: LinkState = { kind: "up", node: "fra", region: "Frankfurt", movedFrom: null };

  constructor(
    private readonly name: string,
    readonly media: LocalMedia,
    private readonly tell: FactListener,
  ) {
    const count = Math.max(0, Number(this.query.get("fake")) - 1);
    this.people = Array.from({ length: count }, (_, index) => fakePerson(index, index === 0 && this.query.has("share")));
    const stopState = media.subscribe(() => this.report());
    const stopFaults = media.onFault((device, fault) => tell({ type: "device-fault", device, fault }));
    this.stopMedia = () => {
      stopState();
      stopFaults();
    };
  }

  async start(): Promise<void> {
    this.set(this.link);
    this.report();
    this.timers.push(setInterval(() => this.talk(), 2500));
    this.talk();
    for (const [index, text] of ["Can everybody see the chart?", "Yes, all of it.", "https://example.org/a-rather-long-address/that-does-not-break-anywhere"].entries()) {
      this.write(index, text);
    }
    if (this.query.has("trouble")) setTimeout(() => this.breakDown(), 500);
    (globalThis as Record<string, unknown>)["fakeSession"] = this;
  }

  sendChat(text: string): void {
    const id = `own-${performance.now()}`;
    this.tell({ type: "chat", message: { id, from: "", name: this.name, text, atMs: Date.now(), self: true, delivery: "sent" } });
  }

  retryNow(): void {
    this.set({ kind: "up", node: "sin", region: "Singapore", movedFrom: "fra" });
  }

  startSound(): void {
    this.tell({ type: "sound-blocked", blocked: false });
  }

  level(identity: string): number {
    return this.speakers.includes(identity) ? 0.3 + 0.3 * Math.sin(performance.now() / 90) : 0;
  }

  async leave(): Promise<void> {
    this.timers.forEach(clearInterval);
    this.stopMedia();
    this.media.close();
    this.set({ kind: "ended", reason: "left" });
  }

  /** Takes away or brings somebody; used by the screen tests. */
  resize(count: number): void {
    while (this.people.length > count) this.people.pop();
    while (this.people.length < count) this.people.push(fakePerson(this.people.length, false));
    this.report();
  }

  private breakDown(): void {
    const through = this.query.get("trouble") === "through" ? "Singapore" : null;
    const sinceMs = Date.now() - Number(this.query.get("since") ?? 0);
    this.set({ kind: "down", node: "fra", sinceMs, through, nodeReachable: false });
  }

  private write(index: number, text: string): void {
    const from = this.people[index % Math.max(1, this.people.length)];
    if (!from) return;
    this.tell({ type: "chat", message: { id: `${index}`, from: from.identity, name: from.name, text, atMs: Date.now(), self: false, delivery: "sent" } });
  }

  private talk(): void {
    const who = this.people[Math.floor(Math.random() * this.people.length)];
    this.speakers = who ? [who.identity] : [];
    this.tell({ type: "speakers", identities: this.speakers, nowMs: Date.now() });
  }

  private report(): void {
    const { state } = this.media;
    const own: Person = { identity: "me", name: this.name, node: "fra", region: "Frankfurt", self: true, micOn: state.mic.on, pictures: localPictures(state) };
    this.tell({ type: "people", people: [own, ...this.people] });
  }

  private set(link: LinkState): void {
    this.link = link;
    this.tell({ type: "link", link });
  }
}

function fakePerson(index: number, shares: boolean): Person {
  const [node, region] = NODES[index % NODES.length] ?? NODES[0];
  const name = NAMES[index % NAMES.length] ?? "Ada";
  const pictures: Picture[] = [];
  if (index % 3 !== 2) pictures.push(drawn(index, "camera"));
  if (shares) pictures.push(drawn(index, "screen"));
  const count = Math.floor(index / NAMES.length);
  return { identity: `fake-${index}`, name: count ? `${name} ${count + 1}` : name, node, region, self: false, micOn: index % 4 !== 1, pictures };
}

/** With `?slow` in the address every fifth picture has no room. */
const pausedAt = (index: number): boolean => new URLSearchParams(location.search).has("slow") && index % 5 === 4;

/** A picture drawn by the browser: a slow pattern in the hue of a person, or a page of lines for a screen. */
function drawn(index: number, source: "camera" | "screen"): Picture {
  const canvas = document.createElement("canvas");
  canvas.width = source === "camera" ? 320 : 1280;
  canvas.height = source === "camera" ? 180 : 720;
  const paint = canvas.getContext("2d");
  let frame = 0;
  const draw = () => {
    if (!paint) return;
    frame++;
    paint.fillStyle = source === "camera" ? `hsl(${(index * 47) % 360} 30% 45%)` : "#fff";
    paint.fillRect(0, 0, canvas.width, canvas.height);
    if (source === "camera") {
      paint.fillStyle = `hsl(${(index * 47) % 360} 35% 75%)`;
      paint.beginPath();
      paint.arc(160 + 10 * Math.sin(frame / 10), 80, 40, 0, 7);
      paint.arc(160 + 10 * Math.sin(frame / 10), 210, 80, 0, 7);
      paint.fill();
    } else {
      paint.fillStyle = "#334";
      for (let line = 0; line < 24; line++) paint.fillRect(60, 40 + line * 28, 400 + ((line * 173) % 700), 10);
    }
  };
  draw();
  setInterval(draw, 200);
  const track = canvas.captureStream(5).getVideoTracks()[0];
  if (!track) throw new Error("a canvas stream has a video track");
  return { id: `${source}-${index}`, source, paused: pausedAt(index), feed: localFeed(track) };
}
