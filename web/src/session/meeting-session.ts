/**
 * Keeps one person in one meeting over any number of connections. When the node that serves us is gone, it asks the
 * next one at once and publishes the same tracks there; the meeting's chat, the microphone's and the camera's state
 * are not the connection's and stay. The choice of node is `model/rejoin`; this module only carries it out. When the node
 * itself sends us elsewhere, the connection to it stands until another one carries sound.
 */
import type { EndReason, LinkState } from "../model/connection";
import { GIVE_UP_AFTER_MS, httpOrigin, nextNode, nextRound, pauseBeforeRoundMs, type RejoinPlan, startPlan, withDead } from "../model/rejoin";
import { type Crossed, Crossing } from "./crossing";
import { JoinError, joinAgain, type JoinRequest } from "./join-api";
import type { Person } from "../model/person";
import { type LocalMedia, localPictures } from "./local-media";
import { Outbox } from "./outbox";
import type { Destination, FactListener, Grant, Line, LineListener, Session, SessionPorts } from "./port";

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

export class MeetingSession implements Session {
  private grant: Grant | null = null;
  /** As the line last reported them; what concerns oneself is read from the local media. */
  private people: readonly Person[] = [];
  private line: Line | null = null;
  private readonly crossing: Crossing;
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
    this.crossing = new Crossing(media, {
      ask: (origin, dead) => this.askAgain(origin, dead),
      quietLine: (grant) => this.lineTo(grant, true),
      over: () => this.left,
    });
    let before = media.state;
    const stopMedia = media.subscribe((state) => {
      for (const device of ["mic", "camera"] as const) {
        if (state[device].on !== before[device].on) this.tell({ type: "device-switched", device, on: state[device].on });
      }
      before = state;
      this.sayPeople();
      void this.line?.publish(media);
      this.crossing.publish();
    });
    const stopFaults = media.onFault((device, fault) => this.tell({ type: "device-fault", device, fault }));
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
    const line = this.lineTo(grant, false);
    const before = this.line;
    this.line = line;
    before?.close();
    try {
      await line.connect(timeoutMs);
    } catch (error) {
      line.close();
      throw error;
    }
    if (this.left) return line.close();
    const movedFrom = this.link.kind === "down" && this.grant && this.grant.node !== grant.node ? this.grant.node : null;
    this.grant = grant;
    this.up(grant, movedFrom);
    void line.publish(this.media);
  }

  private lineTo(grant: Grant, quiet: boolean): Line {
    const line: Line = this.ports.line(grant, this.listenerFor(() => line), quiet);
    return line;
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
        this.crossing.note(line(), people);
        if (!current()) return;
        this.people = people;
        this.sayPeople();
      },
      speakers: (identities) => current() && this.tell({ type: "speakers", identities, nowMs: this.ports.nowMs() }),
      chat: (message) => current() && this.tell({ type: "chat", message }),
      soundBlocked: (blocked) => current() && this.tell({ type: "sound-blocked", blocked }),
      silent: () => current() && this.link.kind === "up" && void this.suspect(),
      troubled: (failures) => current() && this.troubled(failures),
      sentAway: (nodes) => current() && void this.moveOver(nodes),
      restored: () => current() && this.grant && !this.moving && this.up(this.grant, null),
      closed: (final) => current() && this.lineClosed(final),
    };
  }

  /** The node is silent. If it cannot be reached at all we move on at once; else the line resumes by itself. */
  private troubled(failures: number): void {
    if (this.moving || !this.grant || this.link.kind === "connecting") return;
    this.downSinceMs ??= this.ports.nowMs();
    if (this.link.kind !== "down") this.down(null, null);
    void (failures >= RESUME_FAILURES ? this.move() : this.probe());
  }

  /** Nothing comes although the connection looks whole. Only a node that does not answer is left. */
  private async suspect(): Promise<void> {
    if ((await this.answers()) !== false || this.link.kind === "ended") return;
    this.down(null, false);
    void this.move();
  }

  private async probe(): Promise<void> {
    const answers = await this.answers();
    if (answers === null || this.link.kind !== "down") return;
    this.down(null, answers);
    if (!answers) void this.move();
  }

  /** Whether our node answers; null where it is being asked already, or is not ours any more. */
  private async answers(): Promise<boolean | null> {
    const { grant } = this;
    if (this.probing || !grant) return null;
    this.probing = true;
    const answers = await this.ports.nodeAnswers(httpOrigin(grant.url), PROBE_TIMEOUT_MS);
    this.probing = false;
    return this.moving || this.grant !== grant || this.left ? null : answers;
  }

  private lineClosed(final: EndReason | null): void {
    if (final !== null) return this.finish(final);
    if (this.moving || this.link.kind === "connecting") return;
    this.downSinceMs ??= this.ports.nowMs();
    void this.move();
  }

  /** The node sends us away. We come in elsewhere first and let go then: nobody sees us leave, and we miss nothing. */
  private async moveOver(nodes: readonly Destination[]): Promise<void> {
    if (this.moving || this.left || !this.grant) return;
    this.moving = true;
    const crossed = await this.crossing.to(nodes, this.grant.node);
    this.moving = false;
    if (crossed) this.switchTo(crossed);
    if (crossed || this.left) return;
    this.downSinceMs ??= this.ports.nowMs();
    void this.move();
  }

  private switchTo({ line, grant, people }: Crossed): void {
    const before = this.line;
    this.line = line;
    this.grant = grant;
    line.unmute();
    before?.close();
    this.up(grant, null);
    if (people.length > 0) this.people = people;
    this.sayPeople();
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

  private askAgain(origin: string, dead: readonly string[]): Promise<Grant> {
    const request: JoinRequest = { room: this.room, name: this.name, exclude: dead };
    return joinAgain(this.ports.join, origin, request, this.grant?.token, REJOIN_TIMEOUT_MS);
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
    this.crossing.close();
    this.setLink({ kind: "ended", reason });
  }

  private setLink(link: LinkState): void {
    this.link = link;
    this.tell({ type: "link", link });
  }

  /** Answers the line that can carry something now, each time it is asked. */
  private carrier(): () => Line | null {
    return () => (this.link.kind === "up" ? this.line : null);
  }

  private sayPeople(): void {
    if (this.people.length === 0 || this.left) return;
    const own = localPictures(this.media.state);
    const people = this.people.map((who) => (who.self ? { ...who, micOn: this.media.state.mic.on, pictures: own } : who));
    this.tell({ type: "people", people });
  }
}
