/** A meeting link from first sight to goodbye: prejoin, joining, the meeting, and the page after it. */
import { useComputed, useSignal } from "@preact/signals";
import type { ComponentType } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { type MessageKey, t } from "../i18n";
import type { EndReason } from "../model/connection";
import { newMeeting } from "../model/meeting";
import { createStore, type Store } from "../model/store";
import { JoinError } from "../session/join-api";
import { LocalMedia } from "../session/local-media";
import type { Session } from "../session/port";
import { Left } from "./left";
import { Prejoin } from "./prejoin";
import { prefer, prefs } from "./preferences";

type Step = { at: "prejoin"; joining: boolean; error: string | null } | { at: "meeting"; live: Live } | { at: "left"; reason: EndReason };

interface Live {
  store: Store;
  session: Session;
  View: ComponentType<{ store: Store; session: Session }>;
}

/** What a meeting needs beyond prejoin, fetched while people look at themselves. */
async function heavyParts() {
  const [{ MeetingView }, { createSession }] = await Promise.all([import("./meeting"), sessions()]);
  return { MeetingView, createSession };
}

function sessions() {
  if (import.meta.env.DEV && new URLSearchParams(location.search).has("fake")) return import("../session/fake-session");
  return import("../session/browser-ports");
}

export function MeetingPage({ room }: { room: string }) {
  const step = useSignal<Step>({ at: "prejoin", joining: false, error: null });
  const round = useSignal(0);
  const media = useMemo(() => new LocalMedia(prefs.value), [round.value]);
  const query = useMemo(() => new URLSearchParams(location.search), []);
  const auto = query.get("autojoin") === "1" && round.value === 0;
  const at = useComputed(() => step.value.at);

  useEffect(() => {
    document.title = `${room} · ${t("app.name")}`;
    const ready = media.open();
    void heavyParts().catch(() => {});
    if (auto) void ready.then(() => join(query.get("name") || prefs.value.name || t("prejoin.guest")));
    return () => media.close();
  }, [media]);

  const join = async (name: string) => {
    if (step.value.at !== "prejoin" || step.value.joining) return;
    step.value = { at: "prejoin", joining: true, error: null };
    if (!query.has("name")) prefer({ name });
    const store = createStore(newMeeting(room));
    try {
      const { MeetingView, createSession } = await heavyParts();
      const session = createSession(room, name, media, (fact) => {
        store.apply(fact);
        if (fact.type === "link" && fact.link.kind === "ended" && fact.link.reason !== "gave_up") {
          step.value = { at: "left", reason: fact.link.reason };
          media.close();
        }
      });
      await session.start();
      step.value = { at: "meeting", live: { store, session, View: MeetingView } };
    } catch (error) {
      console.warn("joining failed", error);
      step.value = { at: "prejoin", joining: false, error: explain(error) };
    }
  };

  const again = () => {
    step.value = { at: "prejoin", joining: false, error: null };
    round.value++;
  };

  const now = step.value;
  if (at.value === "meeting" && now.at === "meeting") {
    const { View, store, session } = now.live;
    return <View store={store} session={session} />;
  }
  if (now.at === "left") return <Left room={room} reason={now.reason} again={again} />;
  if (now.at !== "prejoin") return null;
  const name = query.get("name") ?? prefs.value.name;
  return <Prejoin room={room} media={media} name={name} joining={now.joining} error={now.error} join={(who) => void join(who)} />;
}

function explain(error: unknown): string {
  const code = error instanceof JoinError ? error.code : "unreachable";
  const message = error instanceof JoinError && error.message !== "" ? error.message : t("join.error.no-message");
  return t(`join.error.${code}` satisfies MessageKey, { message });
}
