/**
 * From one node to another without a gap: a second connection is made beside the one in use, and handed over once it
 * carries sound. Whoever owns both decides what becomes of the first.
 */
import type { Person } from "../model/person";
import { httpOrigin } from "../model/rejoin";
import type { LocalMedia } from "./local-media";
import type { Destination, Grant, Line } from "./port";

/** Longest wait for a connection to the next node. */
const CONNECT_TIMEOUT_MS = 6_000;

/** How long sound may take to come over it before it is used all the same. */
const FLOWING_WITHIN_MS = 1_500;

/** A connection that may be used now. */
export interface Crossed {
  line: Line;
  grant: Grant;
  /** As that connection last reported them. */
  people: readonly Person[];
}

export interface CrossingPorts {
  /** Asks a node for a place. */
  ask(origin: string, dead: readonly string[]): Promise<Grant>;
  /** Makes a line that is not heard yet. */
  quietLine(grant: Grant): Line;
  /** Whether there is no meeting any more that it would be for. */
  over(): boolean;
}

export class Crossing {
  private coming: Line | null = null;
  private people: readonly Person[] = [];

  constructor(
    private readonly media: LocalMedia,
    private readonly ports: CrossingPorts,
  ) {}

  /** To the first of `nodes` that takes us, away from `from`; null where none does. */
  async to(nodes: readonly Destination[], from: string): Promise<Crossed | null> {
    const dead = [from];
    for (const { node, url } of nodes) {
      const crossed = await this.attempt(httpOrigin(url), dead);
      if (crossed || this.ports.over()) return crossed;
      dead.push(node);
    }
    return null;
  }

  /** Notes whom a line reports, if it is the one that is being made. */
  note(line: Line, people: readonly Person[]): void {
    if (this.coming === line) this.people = people;
  }

  /** Publishes on the line that is being made what has changed meanwhile. */
  publish(): void {
    void this.coming?.publish(this.media);
  }

  close(): void {
    this.coming?.close();
  }

  private async attempt(origin: string, dead: readonly string[]): Promise<Crossed | null> {
    let line: Line | null = null;
    try {
      const grant = await this.ports.ask(origin, dead);
      if (this.ports.over() || dead.includes(grant.node)) return null;
      line = this.ports.quietLine(grant);
      this.coming = line;
      this.people = [];
      await line.connect(CONNECT_TIMEOUT_MS);
      await line.publish(this.media);
      await line.flowing(FLOWING_WITHIN_MS);
      if (this.ports.over()) throw new Error("the meeting is over");
      return { line, grant, people: this.people };
    } catch (error) {
      console.warn(`moving to another node through ${origin} failed`, error);
      line?.close();
      return null;
    } finally {
      this.coming = null;
    }
  }
}
