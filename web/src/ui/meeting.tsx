/** The meeting: stage, line on top, controls below, one panel beside. */
import { useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { t } from "../i18n";
import { type Meeting, pageCount, type Panel } from "../model/meeting";
import type { Store } from "../model/store";
import { type Tile, tilesOf } from "../model/tiles";
import type { Session } from "../session/port";
import { Stage } from "../stage/stage";
import { Announcer } from "./announcer";
import { ControlBar } from "./control-bar";
import { ChatPanel } from "./chat-panel";
import { ArrowIcon } from "./icons";
import { LinkBanner, useStage } from "./link-banner";
import { PeoplePanel } from "./people-panel";
import { SettingsPanel } from "./settings-panel";
import { useShortcuts } from "./shortcuts";
import { TopBar } from "./top-bar";
import { useMedia } from "./prejoin";
import "./styles/meeting-index.css";

interface Props {
  store: Store;
  session: Session;
}

export function MeetingView({ store, session }: Props) {
  const meeting = useMeeting(store);
  const media = useMedia(session.media);
  const stage = useStage(meeting.link);
  const open = (panel: Panel) => store.apply({ type: "open-panel", panel });
  useShortcuts(session, open, meeting.panel);
  const frozen = stage === "reconnecting" || stage === "lost";
  return (
    <div class="meeting" data-panel={meeting.panel}>
      <a class="skip" href="#controls">
        {t("app.skip")}
      </a>
      <TopBar meeting={meeting} stage={stage} open={open} />
      <LinkBanner meeting={meeting} stage={stage} session={session} />
      <main class="deck" aria-label={t("meeting.title", { room: meeting.room })}>
        <StageHost store={store} session={session} frozen={frozen} />
        <Pager meeting={meeting} show={(page) => store.apply({ type: "show-page", page })} />
        <Announcer meeting={meeting} stage={stage} />
        {meeting.soundBlocked && <SoundNotice session={session} />}
        {meeting.people.length === 1 && !frozen && <p class="alone">{t("meeting.alone")}</p>}
      </main>
      {meeting.panel === "people" && <PeoplePanel meeting={meeting} close={() => open("none")} />}
      {meeting.panel === "chat" && <ChatPanel meeting={meeting} session={session} close={() => open("none")} />}
      {meeting.panel === "settings" && <SettingsPanel session={session} state={media} close={() => open("none")} />}
      <ControlBar meeting={meeting} media={media} session={session} open={open} />
    </div>
  );
}

function useMeeting(store: Store): Meeting {
  const state = useSignal(store.state);
  useEffect(() => store.subscribe((next) => (state.value = next)), [store]);
  return state.value;
}

/** Hands the tiles to the stage; nothing in here is drawn by the framework. */
function StageHost({ store, session, frozen }: Props & { frozen: boolean }) {
  const host = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (!host.current) return;
    const stage = new Stage(host.current, {
      words: { label, spoken },
      level: (identity) => session.level(identity),
      capacity: (perPage) => store.apply({ type: "page-size", perPage }),
    });
    const stop = store.subscribe((meeting) => stage.update(tilesOf(meeting)));
    return () => {
      stop();
      stage.close();
    };
  }, [store, session]);
  // The class is the only thing that changes here, so the tiles inside are never touched by the framework.
  const className = useMemo(() => (frozen ? "stage frozen" : "stage"), [frozen]);
  return <div ref={host} class={className} data-testid="stage" role="region" aria-label={t("meeting.stage")} />;
}

function label(tile: Tile): string {
  return tile.picture?.paused ? t("tile.paused", { name: title(tile) }) : title(tile);
}

function title(tile: Tile): string {
  if (tile.source === "screen") return tile.self ? t("tile.screen.self") : t("tile.screen", { name: tile.name });
  return tile.self ? t("tile.self", { name: tile.name }) : tile.name;
}

function spoken(tile: Tile): string {
  const parts = [title(tile)];
  if (tile.picture?.paused) parts.push(t("tile.paused.spoken"));
  if (tile.source === "camera" && !tile.micOn) parts.push(t("tile.muted"));
  if (tile.speaking) parts.push(t("tile.speaking"));
  return parts.join(", ");
}

function Pager({ meeting, show }: { meeting: Meeting; show: (page: number) => void }) {
  const pages = pageCount(meeting);
  if (pages < 2) return null;
  const { page } = meeting;
  const values = { page: page + 1, pages };
  return (
    <nav class="pager" aria-label={t("meeting.page.spoken", values)}>
      <button type="button" class="quiet icon-only" disabled={page === 0} onClick={() => show(page - 1)}>
        <ArrowIcon back />
        <span class="unseen">{t("meeting.page.previous")}</span>
      </button>
      <span class="figures" data-testid="page">
        {t("meeting.page", values)}
      </span>
      <button type="button" class="quiet icon-only" disabled={page === pages - 1} onClick={() => show(page + 1)}>
        <ArrowIcon back={false} />
        <span class="unseen">{t("meeting.page.next")}</span>
      </button>
    </nav>
  );
}

function SoundNotice({ session }: { session: Session }) {
  return (
    <div class="sound-notice" role="alert">
      <p>{t("meeting.sound.blocked")}</p>
      <button type="button" class="primary" onClick={() => session.startSound()}>
        {t("meeting.sound.start")}
      </button>
    </div>
  );
}
