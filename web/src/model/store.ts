/** Holds the one state of a meeting and tells who listens when it changed. */
import { type Fact, type Intent, type Meeting, reduce } from "./meeting";

export interface Store {
  readonly state: Meeting;
  /** Applies a change; listeners are told once per change that had an effect. */
  apply(change: Fact | Intent): void;
  /** Calls `listener` now and after every change until the returned function is called. */
  subscribe(listener: (state: Meeting) => void): () => void;
}

export function createStore(initial: Meeting): Store {
  let state = initial;
  const listeners = new Set<(state: Meeting) => void>();
  return {
    get state() {
      return state;
    },
    apply(change) {
      const next = reduce(state, change);
      if (next === state) return;
      state = next;
      for (const listener of [...listeners]) listener(state);
    },
    subscribe(listener) {
      listeners.add(listener);
      listener(state);
      return () => listeners.delete(listener);
    },
  };
}
