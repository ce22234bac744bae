import { describe, expect, it } from "vitest";
import { type ChatMessage, MAX_CHAT_MESSAGES, type Meeting, newMeeting, pageCount, reduce } from "../../src/model/meeting";
import type { Person, Picture } from "../../src/model/person";
import { tilesOf } from "../../src/model/tiles";

const feed = { attach() {}, detach() {} };
const picture = (id: string, source: Picture["source"]): Picture => ({ id, source, paused: false, feed });

function person(identity: string, part: Partial<Person> = {}): Person {
  return { identity, name: identity.toUpperCase(), node: "fra", region: "Frankfurt", self: false, micOn: true, pictures: [], ...part };
}

function message(id: string, part: Partial<ChatMessage> = {}): ChatMessage {
  return { id, from: "b", name: "B", text: "hello", atMs: 0, self: false, delivery: "sent", ...part };
}

const me = person("me", { self: true });

function joined(...people: Person[]): Meeting {
  const up = reduce(newMeeting("oak"), { type: "link", link: { kind: "up", node: "fra", region: "Frankfurt", movedFrom: null } });
  return reduce(up, { type: "people", people: [me, ...people] });
}

describe("people", () => {
  it("are not announced when one arrives oneself, and by name afterwards", () => {
    const meeting = joined(person("b"));
    expect(meeting.notice).toBeNull();
    const more = reduce(meeting, { type: "people", people: [me, person("b"), person("c")] });
    expect(more.notice).toMatchObject({ key: "notice.joined", values: { name: "C" } });
    const fewer = reduce(more, { type: "people", people: [me, person("c")] });
    expect(fewer.notice).toMatchObject({ key: "notice.left", values: { name: "B" } });
  });

  it("are counted instead of named when many come at once", () => {
    const crowd = Array.from({ length: 9 }, (_, i) => person(`p${i}`));
    expect(reduce(joined(), { type: "people", people: [me, ...crowd] }).notice).toMatchObject({ key: "notice.joined.many", values: { count: 9 } });
  });

  it("are not announced as gone and back while another node is found", () => {
    const down = reduce(joined(person("b")), { type: "link", link: { kind: "down", node: "fra", sinceMs: 0, through: null, nodeReachable: false } });
    expect(reduce(down, { type: "people", people: [me] }).notice).toBeNull();
  });

  it("are told that the meeting goes on through another node", () => {
    const down = reduce(joined(), { type: "link", link: { kind: "down", node: "fra", sinceMs: 0, through: "Singapore", nodeReachable: false } });
    const up = reduce(down, { type: "link", link: { kind: "up", node: "sin", region: "Singapore", movedFrom: "fra" } });
    expect(up.notice).toMatchObject({ key: "notice.moved", values: { region: "Singapore" } });
  });
});

describe("pages", () => {
  const crowd = Array.from({ length: 30 }, (_, i) => person(`p${i}`, { pictures: [picture(`v${i}`, "camera")] }));

  it("hold everybody exactly once, oneself in the own corner", () => {
    let meeting = reduce(joined(...crowd), { type: "page-size", perPage: 12 });
    expect(pageCount(meeting)).toBe(3);
    const seen: string[] = [];
    for (let page = 0; page < 3; page++) {
      meeting = reduce(meeting, { type: "show-page", page });
      seen.push(...tilesOf(meeting).filter((tile) => tile.place === "grid").map((tile) => tile.identity));
      expect(tilesOf(meeting).filter((tile) => tile.place === "self")).toHaveLength(1);
    }
    expect(seen.sort()).toEqual(crowd.map((who) => who.identity).sort());
  });

  it("end where the people end", () => {
    const meeting = reduce(reduce(joined(...crowd), { type: "page-size", perPage: 12 }), { type: "show-page", page: 99 });
    expect(meeting.page).toBe(2);
    expect(reduce(meeting, { type: "people", people: [me, person("b")] }).page).toBe(0);
  });

  it("show who speaks on the first page", () => {
    const meeting = reduce(reduce(joined(...crowd), { type: "page-size", perPage: 12 }), { type: "speakers", identities: ["p20"], nowMs: 5 });
    expect(tilesOf(meeting).find((tile) => tile.identity === "p20")).toMatchObject({ place: "grid", speaking: true });
  });
});

describe("shared screens", () => {
  it("stand large beside everybody's camera, and are announced", () => {
    const before = joined(person("b"));
    const meeting = reduce(before, { type: "people", people: [me, person("b", { pictures: [picture("s", "screen")] })] });
    expect(tilesOf(meeting).map((tile) => [tile.key, tile.place])).toEqual([["screen:b", "large"], ["camera:b", "grid"], ["camera:me", "self"]]);
    expect(meeting.notice).toMatchObject({ key: "notice.share.started" });
  });
});

describe("chat", () => {
  it("counts what was not read, and nothing once the panel is open", () => {
    let meeting = reduce(joined(), { type: "chat", message: message("1") });
    expect(meeting.unread).toBe(1);
    meeting = reduce(meeting, { type: "open-panel", panel: "chat" });
    meeting = reduce(meeting, { type: "chat", message: message("2") });
    expect(meeting.unread).toBe(0);
  });

  it("takes a message once, though it may come in two forms", () => {
    const meeting = reduce(joined(), { type: "chat", message: message("1") });
    expect(reduce(meeting, { type: "chat", message: message("1") }).chat).toHaveLength(1);
    expect(reduce(meeting, { type: "chat", message: message("1", { from: "c" }) }).chat).toHaveLength(2);
  });

  it("lets go of the oldest beyond its limit", () => {
    let meeting = joined();
    for (let i = 0; i < MAX_CHAT_MESSAGES + 5; i++) meeting = reduce(meeting, { type: "chat", message: message(`${i}`) });
    expect(meeting.chat).toHaveLength(MAX_CHAT_MESSAGES);
    expect(meeting.chat[0]?.id).toBe("5");
  });

  it("shows whether an own message got out", () => {
    const meeting = reduce(joined(), { type: "chat", message: message("own-1", { self: true, delivery: "pending" }) });
    expect(reduce(meeting, { type: "chat-sent", id: "own-1" }).chat[0]?.delivery).toBe("sent");
    expect(reduce(meeting, { type: "chat-failed", id: "own-1" }).chat[0]?.delivery).toBe("failed");
  });
});
