/** Single keys for what is needed in a hurry. They can be turned off, and never act while somebody types. */
import { useEffect } from "preact/hooks";
import type { Panel } from "../model/meeting";
import type { Session } from "../session/port";
import { prefs } from "./preferences";

export function useShortcuts(session: Session, open: (panel: Panel) => void, panel: Panel): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "Escape" && panel !== "none") {
        event.preventDefault();
        open("none");
        document.querySelector<HTMLElement>(`[data-testid="toggle-${panel}"]`)?.focus();
        return;
      }
      if (!prefs.value.shortcuts || event.repeat || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      switch (event.key.toLowerCase()) {
        case "m":
          void session.media.setMic(!session.media.state.mic.on);
          break;
        case "v":
          void session.media.setCamera(!session.media.state.camera.on);
          break;
        case "c":
          event.preventDefault();
          open(panel === "chat" ? "none" : "chat");
          break;
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [session, panel]);
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}
