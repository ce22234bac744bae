/** The line on top: which meeting, how long, through which node. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { t } from "../i18n";
import type { LinkState, Stage } from "../model/connection";
import type { Meeting, Panel } from "../model/meeting";
import { invitation } from "../model/rooms";
import { CopyIcon, SettingsIcon } from "./icons";

interface Props {
  meeting: Meeting;
  stage: Stage;
  open: (panel: Panel) => void;
}

export function TopBar({ meeting, stage, open }: Props) {
  return (
    <header class="top">
      <h1 class="top-room">{meeting.room}</h1>
      <Elapsed />
      <ConnectionState link={meeting.link} stage={stage} />
      <CopyInvitation room={meeting.room} />
      <button
        type="button"
        class="quiet icon-only"
        data-testid="toggle-settings"
        aria-expanded={meeting.panel === "settings"}
        onClick={() => open(meeting.panel === "settings" ? "none" : "settings")}
      >
        <SettingsIcon />
        <span class="unseen">{t("settings.title")}</span>
      </button>
    </header>
  );
}

/** Name of the node a link belongs to, whatever its state. */
function nodeOf(link: LinkState): string {
  return link.kind === "up" || link.kind === "down" ? link.node : "";
}

/** States a test or a script can wait for. */
function stateOf(stage: Stage): string {
  return stage === "connecting" ? "reconnecting" : stage;
}

function ConnectionState({ link, stage }: { link: LinkState; stage: Stage }) {
  const text = link.kind === "up" ? link.region : stage === "connecting" ? t("link.connecting") : nodeOf(link);
  const spoken = link.kind === "up" ? t("link.connected", { region: link.region }) : text;
  return (
    <span class="top-link" data-testid="connection-state" data-state={stateOf(stage)} data-node={nodeOf(link)} title={spoken}>
      <span class="lamp" aria-hidden="true" />
      <span aria-hidden="true">{text}</span>
      <span class="unseen">{spoken}</span>
    </span>
  );
}

function Elapsed() {
  const seconds = useSignal(0);
  useEffect(() => {
    const startedMs = performance.now();
    const timer = setInterval(() => (seconds.value = Math.floor((performance.now() - startedMs) / 1000)), 1000);
    return () => clearInterval(timer);
  }, []);
  return (
    <span class="top-time clock" role="timer" aria-label={t("meeting.elapsed")}>
      {clock(seconds.value)}
    </span>
  );
}

function clock(seconds: number): string {
  const two = (n: number) => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours > 0 ? `${hours}:${rest}` : rest;
}

function CopyInvitation({ room }: { room: string }) {
  const said = useSignal("");
  const copy = async () => {
    const link = invitation(location.origin, room);
    try {
      await navigator.clipboard.writeText(link);
      said.value = t("meeting.copied");
    } catch {
      said.value = t("meeting.copy.failed", { link });
    }
    setTimeout(() => (said.value = ""), 6000);
  };
  return (
    <>
      <button type="button" class="quiet copy" data-testid="copy-invitation" onClick={() => void copy()}>
        <CopyIcon />
        <span class="copy-text">{t("meeting.copy")}</span>
      </button>
      <span class={said.value ? "toast toast-top" : "unseen"} role="status">
        {said.value}
      </span>
    </>
  );
}
