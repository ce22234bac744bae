/** Which tiles the stage shows: from the state of a meeting to a flat list with nothing left to decide. Pure. */
import { type Meeting, others, self } from "./meeting";
import type { Person, Picture, VideoSource } from "./person";

export interface Tile {
  /** Stable for as long as the tile exists: identity and source. */
  key: string;
  identity: string;
  name: string;
  source: VideoSource;
  self: boolean;
  micOn: boolean;
  speaking: boolean;
  picture: Picture | null;
  /** Where this tile goes: among the large ones, in the grid, the own corner, or on another page. */
  place: "large" | "grid" | "self" | "off";
}

/** All tiles of a meeting, in the order in which they are placed and read. */
export function tilesOf(meeting: Meeting): Tile[] {
  const start = meeting.page * meeting.perPage;
  const remote = others(meeting);
  const own = self(meeting);
  const everybody = own ? [...remote, own] : remote;
  const screens = everybody.flatMap((person) => {
    const screen = person.pictures.find((picture) => picture.source === "screen");
    return screen ? [tile(meeting, person, screen, "screen", "large")] : [];
  });
  const cameras = remote.map((person, index) => {
    const shown = index >= start && index < start + meeting.perPage;
    return tile(meeting, person, camera(person), "camera", shown ? "grid" : "off");
  });
  return [...screens, ...cameras, ...(own ? [tile(meeting, own, camera(own), "camera", "self")] : [])];
}

function camera(person: Person): Picture | null {
  return person.pictures.find((picture) => picture.source === "camera") ?? null;
}

function tile(meeting: Meeting, person: Person, picture: Picture | null, source: VideoSource, place: Tile["place"]): Tile {
  return {
    key: `${source}:${person.identity}`,
    identity: person.identity,
    name: person.name,
    source,
    self: person.self,
    micOn: person.micOn,
    speaking: source === "camera" && meeting.speakers.includes(person.identity),
    picture,
    place,
  };
}
