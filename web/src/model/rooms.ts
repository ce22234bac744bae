/** Names of meetings and the links that lead to them. Pure. */
import { WORDS } from "./words";

/** Longest meeting name a link may carry, in characters. */
export const MAX_ROOM_CHARS = 64;

/** Query parameters that steer this client alone; they are neither sent to a node nor put into invitations. */
export const CLIENT_PARAMETERS = ["name", "autojoin", "fake", "lang"] as const;

/**
 * Three different words joined by dashes.
 * `random(n)` returns an integer in `0..n`; pass a cryptographic source where the name must be hard to guess.
 */
export function threeWords(random: (below: number) => number): string {
  const chosen: string[] = [];
  while (chosen.length < 3) {
    const word = WORDS[random(WORDS.length)];
    if (word !== undefined && !chosen.includes(word)) chosen.push(word);
  }
  return chosen.join("-");
}

/** What somebody typed as a meeting name, as it appears in a link: lower case, letters, digits, `-` and `_`. */
export function roomSlug(typed: string): string {
  const plain = typed
    .normalize("NFC")
    .toLowerCase()
    .trim()
    .replace(/[\s.]+/gu, "-")
    .replace(/[^\p{L}\p{N}_-]+/gu, "")
    .replace(/-{2,}/g, "-");
  return [...plain].slice(0, MAX_ROOM_CHARS).join("").replace(/^-+|-+$/g, "");
}

/** The meeting a path of this site names, or null: `/m/amber-fjord-oak` is `amber-fjord-oak`. */
export function roomFromPath(path: string): string | null {
  const match = /^\/m\/([^/]+)\/?$/.exec(path);
  if (!match?.[1]) return null;
  try {
    return roomSlug(decodeURIComponent(match[1])) || null;
  } catch {
    return null;
  }
}

/**
 * Where a pasted text leads: an absolute address for a link to any node, a path of this site for a bare name,
 * null when it is neither. Only http and https links with a meeting path are followed.
 */
export function destinationOf(pasted: string, here: string): string | null {
  const text = pasted.trim();
  if (text === "") return null;
  const looksLikeLink = text.includes("/") || /^[a-z][a-z0-9+.-]*:/i.test(text);
  if (!looksLikeLink) {
    const slug = roomSlug(text);
    return slug === "" ? null : `/m/${encodeURIComponent(slug)}`;
  }
  const absolute = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : text.startsWith("/") ? here + text : `https://${text}`;
  let url: URL;
  try {
    url = new URL(absolute);
  } catch {
    return null;
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") return null;
  const room = roomFromPath(url.pathname);
  if (room === null) return null;
  const path = `/m/${encodeURIComponent(room)}${url.search}`;
  return url.origin === here ? path : url.origin + path;
}

/** The query a join request carries on: everything in the page's address except what steers this client. */
export function queryForNode(search: string): string {
  const query = new URLSearchParams(search);
  for (const name of CLIENT_PARAMETERS) query.delete(name);
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

/** The link to hand to others: nothing in it is particular to the person who copies it. */
export function invitation(origin: string, room: string): string {
  return `${origin}/m/${encodeURIComponent(room)}`;
}
