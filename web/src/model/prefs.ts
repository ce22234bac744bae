/** What this browser remembers between meetings. Pure: reading and writing the store is the caller's. */

/** Key in the browser's local storage. */
export const PREFS_KEY = "causeway.prefs";

/** Longest display name, in characters. */
export const MAX_NAME_CHARS = 60;

export type Theme = "auto" | "light" | "dark";

export interface Prefs {
  name: string;
  /** Device ids as the browser gives them; empty means the browser's default. */
  micId: string;
  camId: string;
  /** False is "Original sound": no echo cancellation, gain control or noise suppression. */
  noiseSuppression: boolean;
  theme: Theme;
  /** Whether single keys act (M, V, C). */
  shortcuts: boolean;
}

export const DEFAULT_PREFS: Prefs = { name: "", micId: "", camId: "", noiseSuppression: true, theme: "auto", shortcuts: true };

/** Reads stored text; whatever is missing or of the wrong type falls back to its default. */
export function parsePrefs(stored: string | null): Prefs {
  let raw: unknown;
  try {
    raw = JSON.parse(stored ?? "{}");
  } catch {
    return { ...DEFAULT_PREFS };
  }
  if (typeof raw !== "object" || raw === null) return { ...DEFAULT_PREFS };
  const field = raw as Record<string, unknown>;
  const text = (key: string): string => (typeof field[key] === "string" ? (field[key] as string) : "");
  return {
    name: text("name").slice(0, MAX_NAME_CHARS),
    micId: text("micId"),
    camId: text("camId"),
    noiseSuppression: field["noiseSuppression"] !== false,
    theme: field["theme"] === "light" || field["theme"] === "dark" ? field["theme"] : "auto",
    shortcuts: field["shortcuts"] !== false,
  };
}
