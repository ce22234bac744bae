import { describe, expect, it } from "vitest";
import type { EndReason, LinkState } from "../../src/model/connection";
import type { ChatMessage, Fact } from "../../src/model/meeting";
import { GIVE_UP_AFTER_MS } from "../../src/model/rejoin";
import { JoinError, type JoinRequest } from "../../src/session/join-api";
import type { LocalMedia, MediaState } from "../../src/session/local-media";
import { MeetingSession } from "../../src/session/meeting-session";
import type { Grant, Line, LineListener } from "../../src/session/port";

const NODES = ["fra", "sin", "syd"];
const choice = (node: string) => ({ node, region: node.toUpperCase(), url: `ws://${node}:1` });
const grantOf = (node: string, serial: number): Grant => ({ ...choice(node), token: `token-${serial}`, alternatives: NODES.map(choice) });

/** A mesh in memory: nodes that live or are dead, and a clock that only pauses move. */
class World {
  readonly alive = new Set(NODES);
  readonly joins: { origin: string; request: JoinRequest }[] = [];
  readonly lines: FakeLine[] = [];
  readonly facts: Fact[] = [];
  /** Nodes that grant a place although no media gets through. */
  readonly mute = new Set<string>();
  nowMs = 0;
  refuseTokens = false;
  pauses = 0;
  onPause: () => void = () => {};
  readonly media = new FakeMedia();
  readonly session = new MeetingSession("oak", "Ann", this.media as unknown as LocalMedia, (fact) => this.facts.push(fact), {
    join: async (origin, request) => this.join(origin, request),
    nodeAnswers: async (origin) => this.alive.has(hostOf(origin)),
    line: (grant, listener, quiet) => {
      const line = new FakeLine(this, grant, listener, quiet);
      this.lines.push(line);
      return line;
    },
    nowMs: () => this.nowMs,
    random: () => 0.5,
    pause: (ms) => {
      this.pauses++;
      this.nowMs += ms;
      this.onPause();
      return { done: Promise.resolve(), wake: () => {} };
    },
  });

  get line(): FakeLine {
    const line = this.lines[this.lines.length - 1];
    if (!line) throw new Error("no line was made");
    return line;
  }

  get links(): LinkState[] {
    return this.facts.flatMap((fact) => (fact.type === "link" ? [fact.link] : []));
  }

  get link(): LinkState {
    return this.links[this.links.length - 1] ?? { kind: "connecting" };
  }

  private join(origin: string, request: JoinRequest): Grant {
    this.joins.push({ origin, request });
    const asked = origin === "" ? "fra" : hostOf(origin);
    if (!this.alive.has(asked)) throw new JoinError("unreachable", "");
    if (this.refuseTokens && request.previousToken) throw new JoinError("not_permitted", "", 401);
    return grantOf(NODES.find((name) => name === asked && !request.exclude?.includes(name)) ?? asked, this.joins.length);
  }
}

class FakeLine implements Line {
  published = 0;
  closed = false;
  readonly chats: string[] = [];
  constructor(
    private readonly world: World,
    readonly grant: Grant,
    readonly listener: LineListener,
    public quiet: boolean,
  ) {}
  async connect(): Promise<void> {
    if (!this.world.alive.has(this.grant.node) || this.world.mute.has(this.grant.node)) throw new Error("no media");
    this.listener.people([{ identity: "me", name: "Ann", node: this.grant.node, region: "", self: true, micOn: false, pictures: [] }]);
  }
  async publish(): Promise<void> {
    this.published++;
  }
  async sendChat(text: string): Promise<ChatMessage> {
    if (!this.world.alive.has(this.grant.node)) throw new Error("not connected");
    this.chats.push(text);
    return { id: text, from: "me", name: "Ann", text, atMs: 0, self: true, delivery: "sent" };
  }
  async flowing(): Promise<void> {
    this.onFlowing();
  }
  onFlowing: () => void = () => {};
  unmute(): void {
    this.quiet = false;
  }
  async startSound(): Promise<void> {}
  level(): number {
    return 0;
  }
  close(): void {
    this.closed = true;
  }
}

class FakeMedia {
  stopped = false;
  listener: ((state: MediaState) => void) | null = null;
  state = { mic: { on: true }, camera: { on: true, track: null }, screen: { on: false, track: null } } as unknown as MediaState;
  subscribe(listener: (state: MediaState) => void): () => void {
    this.listener = listener;
    listener(this.state);
    return () => (this.listener = null);
  }
  onFault(): () => void {
    return () => {};
  }
  switch(device: "mic" | "camera", on: boolean): void {
    this.state = { ...this.state, [device]: { ...this.state[device], on } };
    this.listener?.(this.state);
  }
  close(): void {
    this.stopped = true;
  }
}

function hostOf(origin: string): string {
  return new URL(origin).hostname;
}

/** Lets every promise that can go on go on. */
async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

async function connected(): Promise<World> {
  const world = new World();
  await world.session.start();
  await settle();
  return world;
}

function kill(world: World, node: string): void {
  world.alive.delete(node);
  world.line.listener.troubled(0);
}

describe("joining", () => {
  it("publishes what the devices give and tells through whom", async () => {
    const world = await connected();
    expect(world.link).toEqual({ kind: "up", node: "fra", region: "FRA", movedFrom: null });
    expect(world.line.published).toBe(1);
    world.media.switch("mic", false);
    expect(world.line.published).toBe(2);
    expect(world.facts).toContainEqual({ type: "device-switched", device: "mic", on: false });
  });

  it("takes another node where the granted one lets no media through", async () => {
    const world = new World();
    world.mute.add("fra");
    await world.session.start();
    expect(world.joins.map((join) => join.origin)).toEqual(["", "http://sin:1"]);
    expect(world.joins[1]?.request.exclude).toEqual(["fra"]);
    expect(world.link).toMatchObject({ kind: "up", node: "sin" });
  });

  it("fails with a reason when no node takes us", async () => {
    const world = new World();
    for (const node of NODES) world.mute.add(node);
    await expect(world.session.start()).rejects.toMatchObject({ code: "unreachable" });
    expect(world.joins.map((join) => join.origin)).toEqual(["", "http://sin:1", "http://syd:1"]);
  });
});

describe("a node that dies", () => {
  it("is replaced by the next one at once, with the same identity and the same tracks", async () => {
    const world = await connected();
    kill(world, "fra");
    await settle();
    expect(world.joins[1]).toMatchObject({ origin: "http://sin:1", request: { room: "oak", name: "Ann", exclude: ["fra"], previousToken: "token-1" } });
    expect(world.link).toEqual({ kind: "up", node: "sin", region: "SIN", movedFrom: "fra" });
    expect(world.lines[0]?.closed).toBe(true);
    expect(world.line.published).toBe(1);
    expect(world.media.stopped).toBe(false);
    expect(world.pauses).toBe(0);
  });

  it("takes its sibling with it, and the third one serves", async () => {
    const world = await connected();
    world.alive.delete("sin");
    kill(world, "fra");
    await settle();
    expect(world.link).toMatchObject({ kind: "up", node: "syd" });
    expect(world.joins.at(-1)?.request.exclude).toEqual(["fra", "sin"]);
  });

  it("may die again on the next node", async () => {
    const world = await connected();
    kill(world, "fra");
    await settle();
    world.alive.add("fra");
    kill(world, "sin");
    await settle();
    expect(world.link).toMatchObject({ kind: "up", node: "fra", movedFrom: "sin" });
  });

  it("does not accept an old token: then one comes as somebody new", async () => {
    const world = await connected();
    world.refuseTokens = true;
    kill(world, "fra");
    await settle();
    expect(world.link).toMatchObject({ kind: "up", node: "sin" });
    expect(world.joins.at(-1)?.request.previousToken).toBeUndefined();
  });

  it("is noticed by its silence, even if no connection was closed", async () => {
    const world = await connected();
    world.alive.delete("fra");
    world.line.listener.silent();
    await settle();
    expect(world.link).toMatchObject({ kind: "up", node: "sin", movedFrom: "fra" });
  });

  it("is not mourned by a line that belongs to the past", async () => {
    const world = await connected();
    const old = world.line;
    kill(world, "fra");
    await settle();
    old.listener.closed(null);
    old.listener.people([]);
    await settle();
    expect(world.link).toMatchObject({ kind: "up", node: "sin" });
    expect(world.lines).toHaveLength(2);
  });
});

describe("a node that still answers", () => {
  it("is given time to resume by itself", async () => {
    const world = await connected();
    world.line.listener.troubled(0);
    await settle();
    expect(world.link).toMatchObject({ kind: "down", nodeReachable: true });
    world.line.listener.restored();
    expect(world.link).toMatchObject({ kind: "up", node: "fra", movedFrom: null });
    expect(world.joins).toHaveLength(1);
  });

  it("may be silent, for people may be", async () => {
    const world = await connected();
    world.line.listener.silent();
    await settle();
    expect(world.links).toHaveLength(1);
  });

  it("is left after three failures", async () => {
    const world = await connected();
    for (const failures of [0, 1, 2, 3]) {
      world.line.listener.troubled(failures);
      await settle();
    }
    expect(world.link).toMatchObject({ kind: "up", node: "sin" });
  });

  it("is left when it ends the connection without ending the meeting", async () => {
    const world = await connected();
    world.line.listener.closed(null);
    await settle();
    expect(world.link).toMatchObject({ kind: "up", node: "sin" });
  });
});

describe("a node that sends us away", () => {
  const next = [choice("sin"), choice("syd")];

  it("is left only when sound comes from the next one, and nobody is told of it", async () => {
    const world = await connected();
    const old = world.line;
    old.listener.sentAway(next);
    const closedBeforeSound: boolean[] = [];
    const quietUntilSound: boolean[] = [];
    await Promise.resolve();
    await Promise.resolve();
    world.line.onFlowing = () => {
      closedBeforeSound.push(old.closed);
      quietUntilSound.push(world.line.quiet);
    };
    await settle();
    expect(closedBeforeSound).toEqual([false]);
    expect(quietUntilSound).toEqual([true]);
    expect([old.closed, world.line.quiet, world.line.published]).toEqual([true, false, 1]);
    expect(world.joins[1]).toMatchObject({ origin: "http://sin:1", request: { exclude: ["fra"], previousToken: "token-1" } });
    expect(world.links.map((link) => link.kind)).toEqual(["up", "up"]);
    expect(world.link).toEqual({ kind: "up", node: "sin", region: "SIN", movedFrom: null });
  });

  it("goes on serving while another one is looked for", async () => {
    const world = await connected();
    world.mute.add("sin");
    world.line.listener.sentAway(next);
    await settle();
    expect(world.link).toMatchObject({ kind: "up", node: "syd" });
    expect(world.joins.at(-1)?.request.exclude).toEqual(["fra", "sin"]);
    expect(world.lines.map((line) => line.closed)).toEqual([true, true, false]);
    expect(world.links.some((link) => link.kind === "down")).toBe(false);
  });

  it("and no other takes us: then everything is tried as after a loss", async () => {
    const world = await connected();
    world.mute.add("sin").add("syd");
    world.onPause = () => world.mute.clear();
    world.line.listener.sentAway(next);
    await settle();
    expect(world.links.some((link) => link.kind === "down")).toBe(true);
    expect(world.link).toMatchObject({ kind: "up" });
  });

  it("shows the people the new connection knows, without a moment in which nobody is there", async () => {
    const world = await connected();
    world.line.listener.sentAway(next);
    await settle();
    const shown = world.facts.flatMap((fact) => (fact.type === "people" ? [fact.people.map((who) => who.node)] : []));
    expect(shown.every((nodes) => nodes.length === 1)).toBe(true);
    expect(shown.at(-1)).toEqual(["sin"]);
  });

  it("is left for good by who leaves meanwhile", async () => {
    const world = await connected();
    world.line.listener.sentAway(next);
    await world.session.leave();
    await settle();
    expect(world.link).toEqual({ kind: "ended", reason: "left" });
    expect(world.lines.every((line) => line.closed)).toBe(true);
  });
});

describe("no network at all", () => {
  it("is waited out in rounds, and the best node is asked first when it is back", async () => {
    const world = await connected();
    world.alive.clear();
    world.onPause = () => {
      if (world.pauses === 3) for (const node of NODES) world.alive.add(node);
    };
    world.line.listener.troubled(0);
    await settle();
    expect(world.pauses).toBe(3);
    expect(world.link).toMatchObject({ kind: "up", node: "fra" });
    expect(world.joins.at(-1)?.request.exclude).toEqual([]);
  });

  it("ends after five minutes, and goes on when asked to", async () => {
    const world = await connected();
    world.alive.clear();
    world.line.listener.troubled(0);
    for (let i = 0; i < 40; i++) await settle();
    expect(world.link).toEqual({ kind: "ended", reason: "gave_up" });
    expect(world.nowMs).toBeGreaterThan(GIVE_UP_AFTER_MS);
    world.alive.add("fra");
    world.session.retryNow();
    await settle();
    expect(world.link).toMatchObject({ kind: "up", node: "fra" });
  });
});

describe("chat", () => {
  it("waits for the next connection and is sent there once", async () => {
    const world = await connected();
    world.session.sendChat("one");
    await settle();
    world.alive.delete("fra");
    world.session.sendChat("two");
    world.line.listener.troubled(0);
    world.session.sendChat("three");
    await settle();
    expect(world.lines.map((line) => line.chats)).toEqual([["one"], ["two", "three"]]);
    expect(world.facts.filter((fact) => fact.type === "chat-sent")).toHaveLength(3);
    expect(world.facts.filter((fact) => fact.type === "chat-failed")).toHaveLength(0);
  });
});

describe("the end", () => {
  it.each<EndReason>(["removed", "room_closed", "duplicate"])("by '%s' is final", async (reason) => {
    const world = await connected();
    world.line.listener.closed(reason);
    await settle();
    expect(world.link).toEqual({ kind: "ended", reason });
    expect(world.joins).toHaveLength(1);
  });

  it("by one's own wish lets go of the devices and is not undone by a rejoin under way", async () => {
    const world = await connected();
    kill(world, "fra");
    await world.session.leave();
    await settle();
    expect(world.link).toEqual({ kind: "ended", reason: "left" });
    expect(world.media.stopped).toBe(true);
    expect(world.lines.every((line) => line.closed)).toBe(true);
  });
});
