/** The stored preferences as a signal; every change is written back at once. */
import { signal } from "@preact/signals";
import { parsePrefs, type Prefs, PREFS_KEY } from "../model/prefs";

function read(): Prefs {
  try {
    return parsePrefs(localStorage.getItem(PREFS_KEY));
  } catch {
    // Storage may be forbidden; the client works without it.
    return parsePrefs(null);
  }
}

export const prefs = signal<Prefs>(read());

/** Changes some preferences and remembers them. */
export function prefer(part: Partial<Prefs>): void {
  prefs.value = { ...prefs.value, ...part };
  applyTheme();
  try {
    localStorage.setItem(PREFS_KEY, JSON.stringify(prefs.value));
  } catch {
    // Forbidden or full: the choice holds until the page is closed.
  }
}

/** Makes the page follow the chosen appearance. */
export function applyTheme(): void {
  const { theme } = prefs.value;
  if (theme === "auto") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
}
