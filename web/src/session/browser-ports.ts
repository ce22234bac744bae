/** The outside world of a session in a browser. */
import { nodeAnswers, requestJoin } from "./join-api";
import { LivekitLine } from "./livekit/line";
import type { LocalMedia } from "./local-media";
import { MeetingSession } from "./meeting-session";
import type { FactListener, Session, SessionPorts } from "./port";

/** A session of this page: joins ask the node that served it, with the page's own query. */
export function createSession(room: string, name: string, media: LocalMedia, tell: FactListener): Session {
  const search = location.search;
  const ports: SessionPorts = {
    join: (origin, request, timeoutMs) => requestJoin(origin, search, request, timeoutMs),
    nodeAnswers,
    line: (grant, listener, quiet) => new LivekitLine(grant, listener, quiet),
    nowMs: () => Date.now(),
    random: () => Math.random(),
    pause,
  };
  return new MeetingSession(room, name, media, tell, ports);
}

function pause(ms: number): { done: Promise<void>; wake(): void } {
  let wake = (): void => {};
  const done = new Promise<void>((resolve) => {
    const timer = setTimeout(() => wake(), ms);
    wake = () => {
      clearTimeout(timer);
      removeEventListener("online", wake);
      resolve();
    };
    addEventListener("online", wake, { once: true });
  });
  return { done, wake: () => wake() };
}
