/**
 * The state of a meeting as one person sees it, and the only function that changes it. Facts come in from the session,
 * intents from the interface; views draw what is here and nothing else. Pure.
 */
import type { LinkState } from "./connection";
import { EMPTY_ORDER, type Order, withPresent, withSpeakers } from "./order";
import type { DeviceFault, DeviceKind } from "./permission";
import type { Person } from "./person";

/** Messages kept in memory; older ones are let go. */
export const MAX_CHAT_MESSAGES = 1000;

/** Most joins and departures announced by name at once; beyond it only their number is told. */
const MAX_NAMED = 3;

export type Panel = "none" | "chat" | "people" | "settings";

export interface ChatMessage {
  id: string;
  from: string;
  name: string;
  text: string;
  atMs: number;
  self: boolean;
  /** Own messages wait here while there is no node to take them. */
  delivery: "sent" | "pending" | "failed";
}

/** Something to tell once: spoken by the screen reader, and shown for a moment where `shown`. */
export interface Notice {
  serial: number;
  key: NoticeKey;
  values: Record<string, string | number>;
  shown: boolean;
}

export type NoticeKey =
  | "notice.joined"
  | "notice.joined.many"
  | "notice.left"
  | "notice.left.many"
  | "notice.chat"
  | "notice.share.started"
  | "notice.share.stopped"
  | "notice.back"
  | "notice.moved"
  | "notice.mic.on"
  | "notice.mic.off"
  | "notice.camera.on"
  | "notice.camera.off"
  | "notice.chat.failed"
  | "notice.fault.mic"
  | "notice.fault.camera"
  | "notice.fault.screen";

export interface Meeting {
  room: string;
  /** Oneself is included and comes first. Empty until connected for the first time. */
  people: readonly Person[];
  order: Order;
  speakers: readonly string[];
  page: number;
  /** Tiles per page at the present size of the window; the stage reports it. */
  perPage: number;
  chat: readonly ChatMessage[];
  unread: number;
  panel: Panel;
  link: LinkState;
  soundBlocked: boolean;
  notice: Notice | null;
}

export type Fact =
  | { type: "link"; link: LinkState }
  | { type: "people"; people: readonly Person[] }
  | { type: "speakers"; identities: readonly string[]; nowMs: number }
  | { type: "chat"; message: ChatMessage }
  | { type: "chat-sent"; id: string }
  | { type: "chat-failed"; id: string }
  | { type: "sound-blocked"; blocked: boolean }
  | { type: "device-fault"; device: DeviceKind; fault: DeviceFault }
  | { type: "device-switched"; device: "mic" | "camera"; on: boolean };

export type Intent =
  | { type: "open-panel"; panel: Panel }
  | { type: "show-page"; page: number }
  | { type: "page-size"; perPage: number };

export function newMeeting(room: string): Meeting {
  return {
    room,
    people: [],
    order: EMPTY_ORDER,
    speakers: [],
    page: 0,
    perPage: 12,
    chat: [],
    unread: 0,
    panel: "none",
    link: { kind: "connecting" },
    soundBlocked: false,
    notice: null,
  };
}

/** The state after a fact or an intent. */
export function reduce(meeting: Meeting, change: Fact | Intent): Meeting {
  switch (change.type) {
    case "link":
      return withLink(meeting, change.link);
    case "people":
      return withPeople(meeting, change.people);
    case "speakers":
      return withHeard(meeting, change.identities, change.nowMs);
    case "chat":
      return withMessage(meeting, change.message);
    case "chat-sent":
      return withDelivery(meeting, change.id, "sent");
    case "chat-failed":
      return noting(withDelivery(meeting, change.id, "failed"), "notice.chat.failed", {}, true);
    case "sound-blocked":
      return { ...meeting, soundBlocked: change.blocked };
    case "device-fault":
      return noting(meeting, `notice.fault.${change.device}`, { fault: change.fault }, true);
    case "device-switched":
      // Why it went off by itself was said a moment ago; that it is off goes without saying.
      if (!change.on && meeting.notice?.key === `notice.fault.${change.device}`) return meeting;
      return noting(meeting, `notice.${change.device}.${change.on ? "on" : "off"}`, {}, false);
    case "open-panel":
      return { ...meeting, panel: change.panel, unread: change.panel === "chat" ? 0 : meeting.unread };
    case "show-page":
      return { ...meeting, page: clampPage(meeting, change.page) };
    case "page-size":
      return withPageSize(meeting, change.perPage);
  }
}

/** The other people in the order of their places. */
export function others(meeting: Meeting): Person[] {
  const byIdentity = new Map(meeting.people.map((person) => [person.identity, person]));
  return meeting.order.places.flatMap((identity) => byIdentity.get(identity) ?? []);
}

/** Oneself, once connected. */
export function self(meeting: Meeting): Person | null {
  return meeting.people.find((person) => person.self) ?? null;
}

/** Number of pages the other people fill; at least 1. */
export function pageCount(meeting: Meeting): number {
  return Math.max(1, Math.ceil(meeting.order.places.length / meeting.perPage));
}

function withLink(meeting: Meeting, link: LinkState): Meeting {
  const next = { ...meeting, link };
  if (link.kind !== "up" || meeting.link.kind !== "down") return next;
  return link.movedFrom === null
    ? noting(next, "notice.back", { region: link.region }, true)
    : noting(next, "notice.moved", { region: link.region }, true);
}

function withPeople(meeting: Meeting, people: readonly Person[]): Meeting {
  const first = meeting.people.length === 0;
  const present = people.filter((person) => !person.self).map((person) => person.identity);
  const order = withPresent(meeting.order, present);
  const placed: Meeting = { ...meeting, people, order };
  const next = { ...placed, page: clampPage(placed, placed.page) };
  if (first || meeting.link.kind !== "up") return next;
  return announceShares(meeting, announcePresence(meeting, next));
}

function announcePresence(before: Meeting, after: Meeting): Meeting {
  const were = new Set(before.people.map((person) => person.identity));
  const are = new Set(after.people.map((person) => person.identity));
  const came = after.people.filter((person) => !were.has(person.identity));
  const went = before.people.filter((person) => !are.has(person.identity));
  return telling(telling(after, "joined", came), "left", went);
}

function telling(meeting: Meeting, what: "joined" | "left", who: readonly Person[]): Meeting {
  if (who.length === 0) return meeting;
  if (who.length > MAX_NAMED) return noting(meeting, `notice.${what}.many`, { count: who.length }, false);
  return noting(meeting, `notice.${what}`, { name: who.map((person) => person.name).join(", ") }, false);
}

function announceShares(before: Meeting, after: Meeting): Meeting {
  const had = sharers(before);
  const has = sharers(after);
  const started = has.find((person) => !had.some((other) => other.identity === person.identity));
  const stopped = had.find((person) => !has.some((other) => other.identity === person.identity));
  if (started) return noting(after, "notice.share.started", { name: started.name }, false);
  if (stopped) return noting(after, "notice.share.stopped", { name: stopped.name }, false);
  return after;
}

function sharers(meeting: Meeting): Person[] {
  return meeting.people.filter((person) => person.pictures.some((picture) => picture.source === "screen"));
}

function withHeard(meeting: Meeting, identities: readonly string[], nowMs: number): Meeting {
  const start = meeting.page * meeting.perPage;
  // Places are swapped on the first page only: whoever leafs through the others wants them to stand still.
  const order =
    meeting.page === 0 ? withSpeakers(meeting.order, identities, start, start + meeting.perPage, nowMs) : meeting.order;
  return { ...meeting, order, speakers: identities };
}

function withMessage(meeting: Meeting, message: ChatMessage): Meeting {
  if (meeting.chat.some((known) => known.id === message.id && known.from === message.from)) return meeting;
  const chat = [...meeting.chat, message].slice(-MAX_CHAT_MESSAGES);
  const next = { ...meeting, chat };
  if (message.self || meeting.panel === "chat") return next;
  return noting({ ...next, unread: meeting.unread + 1 }, "notice.chat", { name: message.name, text: message.text }, true);
}

function withDelivery(meeting: Meeting, id: string, delivery: ChatMessage["delivery"]): Meeting {
  return { ...meeting, chat: meeting.chat.map((known) => (known.id === id ? { ...known, delivery } : known)) };
}

function withPageSize(meeting: Meeting, perPage: number): Meeting {
  if (perPage === meeting.perPage) return meeting;
  const sized = { ...meeting, perPage };
  return { ...sized, page: clampPage(sized, sized.page) };
}

function clampPage(meeting: Meeting, page: number): number {
  return Math.min(Math.max(0, page), pageCount(meeting) - 1);
}

function noting(meeting: Meeting, key: NoticeKey, values: Record<string, string | number>, shown: boolean): Meeting {
  return { ...meeting, notice: { serial: (meeting.notice?.serial ?? 0) + 1, key, values, shown } };
}
