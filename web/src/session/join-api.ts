/** Asking a node for a way into a meeting: `POST /api/join`. */
import { queryForNode } from "../model/rooms";
import type { Grant, SessionPorts } from "./port";

/** Why joining failed. `message` is the node's own sentence where it gave one. */
export class JoinError extends Error {
  constructor(
    readonly code: "unreachable" | "timeout" | "refused" | "not_permitted" | "full" | "unexpected",
    message: string,
    readonly status: number | null = null,
  ) {
    super(message);
    this.name = "JoinError";
  }
}

export interface JoinRequest {
  room: string;
  name: string;
  /** Names of nodes that this client could not reach. */
  exclude?: readonly string[];
  /** A token that is still valid: keeps the identity when the node died. */
  previousToken?: string;
}

/**
 * Asks the node at `origin` ("" is the one that served the page). Rejects with `JoinError`.
 * `search` is the page's query, so that what it carries for nodes reaches them.
 */
export async function requestJoin(origin: string, search: string, request: JoinRequest, timeoutMs: number): Promise<Grant> {
  const body = {
    room: request.room,
    name: request.name,
    ...(request.exclude?.length ? { exclude: request.exclude } : {}),
    ...(request.previousToken ? { previous_token: request.previousToken } : {}),
  };
  let response: Response;
  try {
    response = await fetch(`${origin}/api/join${queryForNode(search)}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      cache: "no-store",
      signal: AbortSignal.timeout(timeoutMs),
    });
  } catch (error) {
    const late = error instanceof DOMException && error.name === "TimeoutError";
    throw new JoinError(late ? "timeout" : "unreachable", "");
  }
  const answer: unknown = await response.json().catch(() => null);
  if (!response.ok) throw refusal(response.status, answer);
  const grant = parseGrant(answer);
  if (grant === null) throw new JoinError("unexpected", "", response.status);
  return grant;
}

/** Asks to keep our identity; a node that does not accept our old token may still take us as somebody new. */
export async function joinAgain(
  join: SessionPorts["join"],
  origin: string,
  request: JoinRequest,
  previousToken: string | undefined,
  timeoutMs: number,
): Promise<Grant> {
  if (!previousToken) return join(origin, request, timeoutMs);
  try {
    return await join(origin, { ...request, previousToken }, timeoutMs);
  } catch (error) {
    if (!(error instanceof JoinError) || error.code !== "not_permitted") throw error;
    return join(origin, request, timeoutMs);
  }
}

function refusal(status: number, answer: unknown): JoinError {
  const message = isRecord(answer) && typeof answer["message"] === "string" ? answer["message"] : "";
  if (status === 401 || status === 403) return new JoinError("not_permitted", message, status);
  if (status === 429 || status === 503) return new JoinError("full", message, status);
  return new JoinError("refused", message, status);
}

/** Reads an answer; null when it is not one. Alternatives that do not parse are left out. */
export function parseGrant(answer: unknown): Grant | null {
  if (!isRecord(answer)) return null;
  const { url, token, node, region, alternatives } = answer;
  if (typeof url !== "string" || typeof token !== "string" || typeof node !== "string") return null;
  if (!isMediaAddress(url)) return null;
  const list = Array.isArray(alternatives) ? alternatives : [];
  return {
    url,
    token,
    node,
    region: typeof region === "string" && region !== "" ? region : node,
    alternatives: list.flatMap((entry: unknown) => {
      if (!isRecord(entry) || typeof entry["node"] !== "string" || typeof entry["url"] !== "string") return [];
      if (!isMediaAddress(entry["url"])) return [];
      const label = typeof entry["region"] === "string" && entry["region"] !== "" ? entry["region"] : entry["node"];
      return [{ node: entry["node"], region: label, url: entry["url"] }];
    }),
  };
}

function isMediaAddress(text: string): boolean {
  try {
    return ["ws:", "wss:", "http:", "https:"].includes(new URL(text).protocol);
  } catch {
    return false;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/**
 * Whether a node's HTTP port answers at all. A node of another origin is asked without reading the answer, so a proxy
 * that answers for a dead node counts as reachable; the session's own attempts tell the difference.
 */
export async function nodeAnswers(origin: string, timeoutMs: number): Promise<boolean> {
  try {
    const sameOrigin = origin === location.origin;
    const response = await fetch(`${origin}/healthz`, {
      mode: sameOrigin ? "same-origin" : "no-cors",
      cache: "no-store",
      signal: AbortSignal.timeout(timeoutMs),
    });
    return sameOrigin ? response.ok : true;
  } catch {
    return false;
  }
}
