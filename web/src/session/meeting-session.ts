/**
 * Keeps one person in one meeting over any number of connections. When the node that serves us is gone, it asks the
 * next one at once and publishes the same tracks there; the meeting's chat, the microphone's and the camera's state
 * are not the connection's and stay. The choice of node is `model/rejoin`; this module only carries it out.
 */
import type { EndReason, LinkState } from "../model/connection";
import type { Fact } from "../model/meeting";
import { GIVE_UP_AFTER_MS, httpOrigin, nextNode, nextRound, pauseBeforeRoundMs, type RejoinPlan, startPlan, withDead } from "../model/rejoin";
import { JoinError, type JoinRequest } from "./join-api";
import type { Person } from "../model/person";
import { type LocalMedia, localPictures } from "./local-media";
import { Outbox } from "./outbox";
import type { FactListener, Grant, Line, LineFactory, LineListener, Session } from "./port";

/** Longest wait for an answer to a join request at the start, and while rejoining, where the next node is waiting. */
const FIRST_JOIN_TIMEOUT_MS = 10_000;
const REJOIN_TIMEOUT_MS = 2_500;

/** Longest wait for a connection, likewise. */
const FIRST_CONNECT_TIMEOUT_MS = 15_000;
const RECONNECT_TIMEOUT_MS = 6_000;

/** How long a node has to answer when we wonder whether it lives. */
const PROBE_TIMEOUT_MS = 1_200;

/** Failed attempts to resume after which a node that still answers is given up. */
const RESUME_FAILURES = 3;

/** Everything that touches the world outside, so that tests can stand in for it. */
export interface SessionPorts {
  join(origin: string, request: JoinRequest, timeoutMs: number): Promise<Grant>;
  nodeAnswers(origin: string, timeoutMs: number): Promise<boolean>;
  line: LineFactory;
  nowMs(): number;
  random(): number;
  /** Resolves after `ms`, or at once when the network comes back or `wake` is called. */
  pause(ms: number): { done: Promise<void>; wake(): void };
}

export class MeetingSession implements Session {
  private grant: Grant | null = null;
  /** As the line last reported them; what concerns oneself is read from the local media. */
  private people: readonly Person[] = [];
  private line: Line | null = null;
  private link: LinkState = { kind: "connecting" };
  private downSinceMs: number | null = null;
  private probing = false;
  private moving = false;
  private left = false;
  private wake: () => void = () => {};
  private readonly outbox: Outbox;
  private readonly unsubscribe: () => void;

  constructor(
    private readonly room: string,
    private readonly name: string,
    readonly media: LocalMedia,
    private readonly tell: FactListener,
    private readonly ports: SessionPorts,
  ) {
    this.outbox = new Outbox(name, tell);
    let before = media.state;
    const stopMedia = media.subscribe((state) => {
      for (const device of ["mic", "camera"] as const) {
        if (state[device].on !== before[device].on) this.say({ type: "device-switched", device, on: state[device].on });
      }
      before = state;
      this.sayPeople();
      void this.line?.publish(media);
    });
    const stopFaults = media.onFault((device, fault) => this.say({ type: "device-fault", device, fault }));
    this.unsubscribe = () => {
      stopMedia();
      stopFaults();
    };
  }

  async start(): Promise<void> {
    const grant = await this.ports.join("", { room: this.room, name: this.name }, FIRST_JOIN_TIMEOUT_MS);
    this.grant = grant;
    try {
      await this.connect(grant, FIRST_CONNECT_TIMEOUT_MS);
    } catch (error) {
      if (this.left) throw error;
      console.warn(`node ${grant.node} granted a place but cannot be reached`, error);
      let plan = startPlan(grant.alternatives, grant);
      for (let node = nextNode(plan); node; node = nextNode(plan)) {
        if (await this.tryNode(httpOrigin(node.url), plan.dead)) return;
        plan = withDead(plan, node.node);
      }
      throw new JoinError("unreachable", "");
    }
  }

  sendChat(text: string): void {
    this.outbox.add(text, this.ports.nowMs());
    void this.outbox.flush(this.carrier());
  }

  retryNow(): void {
    if (this.link.kind === "ended" && this.link.reason === "gave_up") {
      this.downSinceMs = this.ports.nowMs();
      void this.move();
      return;
    }
    this.wake();
    if (this.link.kind === "down" && !this.moving) void this.move();
  }

  startSound(): void {
    this.line?.startSound().catch((error: unknown) => console.warn("sound stays blocked", error));
  }

  level(identity: string): number {
    return this.line?.level(identity) ?? 0;
  }

  async leave(): Promise<void> {
    this.finish("left");
    this.media.close();
  }

  /** Makes a line to a node the current one. Local media are published as soon as it stands. */
  private async connect(grant: Grant, timeoutMs: number): Promise<void> {
    const line: Line = this.ports.line(grant, this.listenerFor(() => line));
    const before = this.line;
    this.line = line;
    before?.close();
    try {
      await line.connect(timeoutMs);
    } catch (error) {
      line.close();
      throw error;
    }
    if (this.left) {
      line.close();
      return;
    }
    const movedFrom = this.link.kind === "down" && this.grant && this.grant.node !== grant.node ? this.grant.node : null;
    this.grant = grant;
    this.up(grant, movedFrom);
    void line.publish(this.media);
  }

  private up(grant: Grant, movedFrom: string | null): void {
    this.downSinceMs = null;
    this.setLink({ kind: "up", node: grant.node, region: grant.region, movedFrom });
    void this.outbox.flush(this.carrier());
  }

  private listenerFor(line: () => Line): LineListener {
    const current = () => this.line === line() && !this.left;
    return {
      people: (people) => {
        if (!current()) return;
        this.people = people;
        this.sayPeople();
      },
      speakers: (identities) => current() && this.say({ type: "speakers", identities, nowMs: this.ports.nowMs() }),
      chat: (message) => current() && this.say({ type: "chat", message }),
      soundBlocked: (blocked) => current() && this.say({ type: "sound-blocked", blocked }),
      silent: () => current() && this.link.kind === "up" && void this.suspect(),
      troubled: (failures) => current() && this.troubled(failures),
      restored: () => current() && this.grant && !this.moving && this.up(this.grant, null),
      closed: (final) => current() && this.lineClosed(final),
    };
  }

  /** The node is silent. If it cannot be reached at all we move on at once; else the line resumes by itself. */
  private troubled(failures: number): void {
    if (this.moving || !this.grant || this.link.kind === "connecting") return;
    this.downSinceMs ??= this.ports.nowMs();
    if (this.link.kind !== "down") this.down(null, null);
    if (failures >= RESUME_FAILURES) {
      void this.move();
      return;
    }
    void this.probe(this.grant);
  }

  /** Nothing comes although the connection looks whole. Only a node that does not answer is left. */
  private async suspect(): Promise<void> {
    const { grant } = this;
    if (this.probing || !grant) return;
    this.probing = true;
    const answers = await this.ports.nodeAnswers(httpOrigin(grant.url), PROBE_TIMEOUT_MS);
    this.probing = false;
    if (answers || this.moving || this.grant !== grant || this.left || this.link.kind === "ended") return;
    this.down(null, false);
    void this.move();
  }

  private async probe(grant: Grant): Promise<void> {
    if (this.probing) return;
    this.probing = true;
    const answers = await this.ports.nodeAnswers(httpOrigin(grant.url), PROBE_TIMEOUT_MS);
    this.probing = false;
    if (this.link.kind !== "down" || this.moving || this.grant !== grant || this.left) return;
    this.down(null, answers);
    if (!answers) void this.move();
  }

  private lineClosed(final: EndReason | null): void {
    if (final !== null) {
      this.finish(final);
      return;
    }
    if (this.moving || this.link.kind === "connecting") return;
    this.downSinceMs ??= this.ports.nowMs();
    void this.move();
  }

  /** Asks node after node until one takes us, in rounds with growing pauses, until it is hopeless. */
  private async move(): Promise<void> {
    if (this.moving || this.left || !this.grant) return;
    this.moving = true;
    this.line?.close();
    const failed = this.grant;
    const reachable = this.link.kind === "down" ? this.link.nodeReachable : null;
    let plan: RejoinPlan = startPlan(failed.alternatives, failed);
    while (!this.left && !this.hopeless()) {
      const node = nextNode(plan);
      if (node === null) {
        plan = nextRound(plan);
        await this.rest(pauseBeforeRoundMs(plan.round, this.ports.random()));
        continue;
      }
      this.down(node.region, reachable);
      if (await this.tryNode(httpOrigin(node.url), plan.dead)) {
        this.moving = false;
        return;
      }
      plan = withDead(plan, node.node);
    }
    this.moving = false;
    if (!this.left) this.setLink({ kind: "ended", reason: "gave_up" });
  }

  /** One join request and one connection. True when it stands. */
  private async tryNode(origin: string, dead: readonly string[]): Promise<boolean> {
    try {
      const grant = await this.askAgain(origin, dead);
      if (this.left) return false;
      await this.connect(grant, RECONNECT_TIMEOUT_MS);
      return true;
    } catch (error) {
      console.warn(`rejoining through ${origin} failed`, error);
      return false;
    }
  }

  /** Asks to keep our identity; a node that does not accept our old token may still take us as somebody new. */
  private async askAgain(origin: string, dead: readonly string[]): Promise<Grant> {
    const request: JoinRequest = { room: this.room, name: this.name, exclude: dead };
    const previousToken = this.grant?.token;
    if (!previousToken) return this.ports.join(origin, request, REJOIN_TIMEOUT_MS);
    try {
      return await this.ports.join(origin, { ...request, previousToken }, REJOIN_TIMEOUT_MS);
    } catch (error) {
      if (!(error instanceof JoinError) || error.code !== "not_permitted") throw error;
      return this.ports.join(origin, request, REJOIN_TIMEOUT_MS);
    }
  }

  private async rest(ms: number): Promise<void> {
    const pause = this.ports.pause(ms);
    this.wake = pause.wake;
    await pause.done;
    this.wake = () => {};
  }

  private hopeless(): boolean {
    return this.downSinceMs !== null && this.ports.nowMs() - this.downSinceMs > GIVE_UP_AFTER_MS;
  }

  private down(through: string | null, nodeReachable: boolean | null): void {
    const sinceMs = this.downSinceMs ?? this.ports.nowMs();
    this.downSinceMs = sinceMs;
    this.setLink({ kind: "down", node: this.grant?.node ?? "", sinceMs, through, nodeReachable });
  }

  private finish(reason: EndReason): void {
    if (this.left) return;
    this.left = true;
    this.unsubscribe();
    this.wake();
    this.line?.close();
    this.setLink({ kind: "ended", reason });
  }

  private setLink(link: LinkState): void {
    this.link = link;
    this.say({ type: "link", link });
  }

  /** Answers the line that can carry something now, each time it is asked. */
  private carrier(): () => Line | null {
    return () => (this.link.kind === "up" ? this.line : null);
  }

  private sayPeople(): void {
    if (this.people.length === 0 || this.left) return;
    const own = localPictures(this.media.state);
    const people = this.people.map((who) => (who.self ? { ...who, micOn: this.media.state.mic.on, pictures: own } : who));
    this.say({ type: "people", people });
  }

  private say(fact: Fact): void {
    this.tell(fact);
  }
}
