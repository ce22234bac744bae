/**
 * One connection to one node, by livekit-client; no module outside this folder imports that. It turns the library's
 * objects into the client's own plain values and keeps no rule about meetings.
 */
import {
  type ChatMessage as LegacyChat,
  DisconnectReason,
  type Participant,
  type ReconnectContext,
  type RemoteTrack,
  Room,
  RoomEvent,
  setLogLevel,
  Track,
  type TrackPublication,
} from "livekit-client";
import type { EndReason } from "../../model/connection";
import type { ChatMessage } from "../../model/meeting";
import type { Person, Picture, VideoFeed } from "../../model/person";
import type { LocalMedia } from "../local-media";
import type { Grant, Line, LineListener } from "../port";
import { Publisher } from "./publisher";
import { soundFlows, watchSilence } from "./silence";

/** Topic of chat in text streams, as the component libraries and agents of other clients use it. */
const CHAT_TOPIC = "lk.chat";

/** Topic of chat in plain data packets, which older clients still send. */
const LEGACY_CHAT_TOPIC = "lk-chat-topic";

/** Longest chat text taken from others, in characters. */
const MAX_CHAT_CHARS = 8_000;

/** Longest the library may go on trying by itself; the session decides long before. */
const RESUME_FOR_MS = 5 * 60_000;

/** A node that sends us away keeps the line for less than this; the library must not break it before that. */
const KEPT_FOR_MS = 30_000;

/** Query parameter by which a node knows that we go where it sends us. */
const FOLLOWS = "follows";

setLogLevel("warn");

export class LivekitLine implements Line {
  private readonly room: Room;
  private readonly publisher: Publisher;
  private readonly feeds = new WeakMap<object, VideoFeed>();
  private readonly sounds = new Map<string, HTMLMediaElement>();
  private stopWatching: () => void = () => {};
  private snapshotDue = false;
  private closed = false;
  private sentAway = false;
  private failures = 0;

  constructor(
    private readonly grant: Grant,
    private readonly listener: LineListener,
    private quiet: boolean,
  ) {
    this.room = new Room({
      adaptiveStream: true,
      dynacast: true,
      stopLocalTrackOnUnpublish: false,
      disconnectOnPageLeave: true,
      reconnectPolicy: { nextRetryDelayInMs: (context) => this.retryDelayMs(context) },
    });
    this.publisher = new Publisher(this.room);
    this.listen();
  }

  async connect(timeoutMs: number): Promise<void> {
    await this.room.connect(withFollows(this.grant.url), this.grant.token, {
      autoSubscribe: true,
      maxRetries: 0,
      websocketTimeout: timeoutMs,
      peerConnectionTimeout: timeoutMs,
    });
    this.room.engine.on("serverRegionsReported", ({ regions }) => this.sendAway(regions));
    this.report();
    this.stopWatching = watchSilence(this.room, () => this.closed || this.listener.silent());
    if (this.closed) this.stopWatching();
  }

  publish(media: LocalMedia): Promise<void> {
    return this.publisher.match(media);
  }

  async sendChat(text: string): Promise<ChatMessage> {
    const info = await this.room.localParticipant.sendText(text, { topic: CHAT_TOPIC });
    const { identity, name } = this.room.localParticipant;
    return { id: info.id, from: identity, name: name || identity, text, atMs: info.timestamp, self: true, delivery: "sent" };
  }

  async flowing(withinMs: number): Promise<void> {
    await soundFlows(this.room, withinMs);
  }

  unmute(): void {
    this.quiet = false;
    for (const element of this.sounds.values()) element.muted = false;
  }

  async startSound(): Promise<void> {
    await this.room.startAudio();
  }

  level(identity: string): number {
    return this.room.getParticipantByIdentity(identity)?.audioLevel ?? 0;
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.stopWatching();
    for (const element of this.sounds.values()) element.remove();
    this.sounds.clear();
    this.room.removeAllListeners();
    this.room.disconnect(false).catch((error: unknown) => console.debug("disconnecting", error));
  }

  private listen(): void {
    const changed = () => this.changed();
    for (const event of [
      RoomEvent.ParticipantConnected,
      RoomEvent.ParticipantDisconnected,
      RoomEvent.ParticipantActive,
      RoomEvent.ParticipantNameChanged,
      RoomEvent.ParticipantAttributesChanged,
      RoomEvent.TrackPublished,
      RoomEvent.TrackUnpublished,
      RoomEvent.TrackMuted,
      RoomEvent.TrackUnmuted,
      RoomEvent.TrackStreamStateChanged,
      RoomEvent.LocalTrackPublished,
      RoomEvent.LocalTrackUnpublished,
    ] as const) {
      this.room.on(event, changed);
    }
    this.room
      .on(RoomEvent.TrackSubscribed, (track) => this.subscribed(track))
      .on(RoomEvent.TrackUnsubscribed, (track) => this.unsubscribed(track))
      .on(RoomEvent.ActiveSpeakersChanged, (speakers) => this.listener.speakers(speakers.map((who) => who.identity)))
      .on(RoomEvent.AudioPlaybackStatusChanged, () => this.listener.soundBlocked(!this.room.canPlaybackAudio))
      .on(RoomEvent.ChatMessage, (message, from) => this.legacyChat(message, from))
      .on(RoomEvent.DataReceived, (payload, from, _kind, topic) => this.dataChat(payload, from, topic))
      .on(RoomEvent.Reconnected, () => this.restored())
      .on(RoomEvent.Disconnected, (reason) => this.ended(reason));
    this.room.registerTextStreamHandler(CHAT_TOPIC, (reader, from) => {
      reader
        .readAll()
        .then((text) => this.chat(reader.info.id, from.identity, text, reader.info.timestamp))
        .catch((error: unknown) => console.warn("a chat message broke off", error));
    });
  }

  /** Called by the library at each loss and after each failed attempt: the earliest sign that a node is in trouble. */
  private retryDelayMs(context: ReconnectContext): number | null {
    if (this.closed || context.elapsedMs > RESUME_FOR_MS) return null;
    if (this.sentAway) return KEPT_FOR_MS;
    this.failures = context.retryCount;
    queueMicrotask(() => {
      if (!this.closed) this.listener.troubled(this.failures);
    });
    const base = Math.min(7_000, 300 * 2 ** context.retryCount);
    return Math.round(base * (0.5 + Math.random()));
  }

  /** Comes right before the library asks how long to wait until it drops everything and joins anew. */
  private sendAway(regions: readonly { region: string; url: string }[]): void {
    if (this.closed || this.sentAway) return;
    this.sentAway = true;
    const nodes = regions.map(({ region, url }) => ({ node: region, url }));
    queueMicrotask(() => this.closed || this.listener.sentAway(nodes));
  }

  private restored(): void {
    this.failures = 0;
    this.listener.restored();
    this.report();
  }

  private ended(reason: DisconnectReason | undefined): void {
    if (this.closed) return;
    this.close();
    this.listener.closed(finality(reason));
  }

  private changed(): void {
    if (this.snapshotDue) return;
    this.snapshotDue = true;
    queueMicrotask(() => {
      this.snapshotDue = false;
      this.report();
    });
  }

  private report(): void {
    if (this.closed || this.room.state === "disconnected") return;
    const everybody: Participant[] = [this.room.localParticipant, ...this.room.remoteParticipants.values()];
    this.listener.people(everybody.map((participant) => this.person(participant)));
  }

  private person(participant: Participant): Person {
    const own = participant === this.room.localParticipant;
    const { identity, name, attributes } = participant;
    return {
      identity,
      name: name || identity,
      node: attributes["causeway.node"] ?? (own ? this.grant.node : null),
      region: attributes["causeway.region"] ?? (own ? this.grant.region : null),
      self: own,
      micOn: participant.isMicrophoneEnabled,
      pictures: own ? [] : [...participant.trackPublications.values()].flatMap((track) => this.picture(track) ?? []),
    };
  }

  private picture(publication: TrackPublication): Picture | null {
    if (publication.kind !== Track.Kind.Video || publication.isMuted || !publication.track) return null;
    const source = publication.source === Track.Source.ScreenShare ? "screen" : "camera";
    const paused = publication.track.streamState === Track.StreamState.Paused;
    return { id: `${publication.trackSid}/${publication.track.mediaStreamID}`, source, paused, feed: this.feed(publication.track) };
  }

  private feed(track: Track): VideoFeed {
    const known = this.feeds.get(track);
    if (known) return known;
    const feed: VideoFeed = {
      attach: (element) => void track.attach(element),
      detach: (element) => void track.detach(element),
    };
    this.feeds.set(track, feed);
    return feed;
  }

  private subscribed(track: RemoteTrack): void {
    if (track.kind === Track.Kind.Audio && track.sid) {
      const element = track.attach();
      element.hidden = true;
      element.muted = this.quiet;
      document.body.append(element);
      this.sounds.set(track.sid, element);
    }
    this.changed();
  }

  private unsubscribed(track: RemoteTrack): void {
    track.detach();
    if (track.sid) {
      // The library may have detached it already, so it does not name the element any more.
      this.sounds.get(track.sid)?.remove();
      this.sounds.delete(track.sid);
    }
    this.changed();
  }

  private chat(id: string, from: string, text: string, atMs: number): void {
    if (this.closed || text.trim() === "") return;
    const sender = this.room.getParticipantByIdentity(from);
    this.listener.chat({
      id,
      from,
      name: sender?.name || from,
      text: text.slice(0, MAX_CHAT_CHARS),
      atMs,
      self: from === this.room.localParticipant.identity,
      delivery: "sent",
    });
  }

  private legacyChat(message: LegacyChat, from: Participant | undefined): void {
    if (from) this.chat(message.id, from.identity, message.message, message.timestamp);
  }

  private dataChat(payload: Uint8Array, from: Participant | undefined, topic: string | undefined): void {
    if (topic !== LEGACY_CHAT_TOPIC || !from) return;
    const message = parseLegacy(payload);
    if (message) this.chat(message.id, from.identity, message.text, message.atMs);
  }
}

function withFollows(url: string): string {
  const parsed = new URL(url);
  parsed.searchParams.set(FOLLOWS, "1");
  return parsed.href;
}

/** Whether a disconnection ends the meeting for us, and how; null means that another connection may be tried. */
function finality(reason: DisconnectReason | undefined): EndReason | null {
  switch (reason) {
    case DisconnectReason.PARTICIPANT_REMOVED:
      return "removed";
    case DisconnectReason.ROOM_DELETED:
    case DisconnectReason.ROOM_CLOSED:
      return "room_closed";
    case DisconnectReason.DUPLICATE_IDENTITY:
      return "duplicate";
    default:
      return null;
  }
}

function parseLegacy(payload: Uint8Array): { id: string; text: string; atMs: number } | null {
  try {
    const raw = JSON.parse(new TextDecoder().decode(payload)) as Record<string, unknown>;
    const { id, message, timestamp } = raw;
    if (typeof message !== "string") return null;
    const atMs = typeof timestamp === "number" ? timestamp : Date.now();
    return { id: typeof id === "string" ? id : `${atMs}`, text: message, atMs };
  } catch {
    return null;
  }
}
