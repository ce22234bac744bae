/** The controls below the stage. Every one is a real button whose name stays and whose state is said. */
import type { ComponentChildren } from "preact";
import { t } from "../i18n";
import type { Meeting, Panel } from "../model/meeting";
import type { MediaState } from "../session/local-media";
import type { Session } from "../session/port";
import { CameraIcon, ChatIcon, LeaveIcon, MicIcon, PeopleIcon, ShareIcon } from "./icons";

interface Props {
  meeting: Meeting;
  media: MediaState;
  session: Session;
  open: (panel: Panel) => void;
}

export function ControlBar({ meeting, media, session, open }: Props) {
  const toggle = (panel: Panel) => open(meeting.panel === panel ? "none" : panel);
  const mayShare = typeof navigator.mediaDevices?.getDisplayMedia === "function";
  const unread = meeting.unread > 0 ? t("bar.chat.unread", { count: meeting.unread }) : undefined;
  return (
    <nav class="bar" id="controls" tabIndex={-1} aria-label={t("bar.label")}>
      <div class="bar-group">
        <Control id="mic" name={t("bar.mic")} title={t("prejoin.mic")} pressed={media.mic.on} lamp keys="M" press={() => void session.media.setMic(!media.mic.on)}>
          <MicIcon off={!media.mic.on} />
        </Control>
        <Control id="camera" name={t("bar.camera")} pressed={media.camera.on} lamp keys="V" press={() => void session.media.setCamera(!media.camera.on)}>
          <CameraIcon off={!media.camera.on} />
        </Control>
        {mayShare && (
          <Control id="share" name={t("bar.share")} title={t("bar.share.title")} pressed={media.screen.on} lamp press={() => void session.media.setScreen(!media.screen.on)}>
            <ShareIcon />
          </Control>
        )}
      </div>
      <div class="bar-group">
        <Control id="people" name={t("bar.people")} pressed={meeting.panel === "people"} count={meeting.people.length} press={() => toggle("people")}>
          <PeopleIcon />
        </Control>
        <Control id="chat" name={t("bar.chat")} pressed={meeting.panel === "chat"} count={meeting.unread} counted={unread} keys="C" press={() => toggle("chat")}>
          <ChatIcon />
        </Control>
      </div>
      <button type="button" class="leave" data-testid="leave" onClick={() => void session.leave()}>
        <LeaveIcon />
        <span>{t("bar.leave")}</span>
      </button>
    </nav>
  );
}

interface ControlProps {
  id: string;
  /** What stands under the picture and names the button; never changes with its state. */
  name: string;
  /** The whole name with the key, for the pointer. */
  title?: string;
  pressed: boolean;
  /** Whether a lamp tells that something is on air. */
  lamp?: boolean;
  count?: number;
  /** What the count means, for those who do not see the badge. */
  counted?: string;
  keys?: string;
  press: () => void;
  children: ComponentChildren;
}

function Control({ id, name, title, pressed, lamp, count = 0, counted, keys, press, children }: ControlProps) {
  return (
    <button
      type="button"
      class="control"
      id={`toggle-${id}`}
      data-testid={`toggle-${id}`}
      aria-pressed={pressed}
      aria-keyshortcuts={keys}
      title={keys ? `${title ?? name} (${keys})` : title}
      onClick={press}
    >
      {lamp && <span class="control-lamp" aria-hidden="true" />}
      {children}
      <span class="control-name">{name}</span>
      {count > 0 && (
        <span class="control-count clock" aria-hidden="true">
          {count > 99 ? "99+" : count}
        </span>
      )}
      {counted !== undefined && <span class="unseen">{counted}</span>}
    </button>
  );
}
