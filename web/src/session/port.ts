/**
 * What the rest of the client knows about a meeting's connection. The interface draws from facts and calls a `Session`;
 * a session keeps a person in a meeting over any number of `Line`s, each of which is one connection to one node. Only
 * the folder `livekit` knows the media library.
 */
import type { EndReason } from "../model/connection";
import type { ChatMessage, Fact } from "../model/meeting";
import type { Person } from "../model/person";
import type { NodeChoice } from "../model/rejoin";
import type { JoinRequest } from "./join-api";
import type { LocalMedia } from "./local-media";

/** What a node grants to somebody who may join. */
export interface Grant {
  url: string;
  token: string;
  node: string;
  region: string;
  /** Ranked, best first, the granting choice included. */
  alternatives: NodeChoice[];
}

export interface Session {
  readonly media: LocalMedia;
  /** Joins. Resolves when connected; rejects with `JoinError` when no node takes us. */
  start(): Promise<void>;
  sendChat(text: string): void;
  /** Tries at once instead of waiting for the next attempt. */
  retryNow(): void;
  /** Unblocks sound after a click, where the browser asks for one. */
  startSound(): void;
  /** How loud somebody is now, `0..1`; cheap enough for every frame. */
  level(identity: string): number;
  /** Leaves and lets go of every device. */
  leave(): Promise<void>;
}

export type FactListener = (fact: Fact) => void;

/** What a line reports. A line says nothing after `close`. */
export interface LineListener {
  people(people: Person[]): void;
  speakers(identities: string[]): void;
  chat(message: ChatMessage): void;
  soundBlocked(blocked: boolean): void;
  /** The node is not heard any more; the line tries to resume by itself. `failures` counts its failed attempts so far. */
  troubled(failures: number): void;
  /** What others send has stopped coming although it should come: the node may be dead without having said so. */
  silent(): void;
  /** The node wants us on one of these, best first. The line goes on for a few seconds, so that there need be no gap. */
  sentAway(nodes: readonly Destination[]): void;
  /** The line is whole again after `troubled`. */
  restored(): void;
  /** The line is dead. `final` says that the meeting is over for us, not merely this connection. */
  closed(final: EndReason | null): void;
}

/** Where a node sends us. */
export interface Destination {
  node: string;
  /** Address for media clients, `ws://` or `wss://`. */
  url: string;
}

export interface Line {
  /** Resolves when media can flow; rejects when it cannot be brought about. */
  connect(timeoutMs: number): Promise<void>;
  /** Makes what is published equal to the local media as they are now. Safe to call at any time, any number of times. */
  publish(media: LocalMedia): Promise<void>;
  sendChat(text: string): Promise<ChatMessage>;
  /** Resolves once the sound of the others comes, at once where nobody sends any, and after `withinMs` anyhow. */
  flowing(withinMs: number): Promise<void>;
  /** Lets a line be heard that was made quiet. */
  unmute(): void;
  startSound(): Promise<void>;
  level(identity: string): number;
  /** Ends the connection without stopping local tracks. Does not wait for the far side. */
  close(): void;
}

/** Makes a line; a `quiet` one is not heard until it is unmuted. */
export type LineFactory = (grant: Grant, listener: LineListener, quiet: boolean) => Line;

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
