/** Second screen: see and hear oneself, choose devices, say a name, go in. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { t } from "../i18n";
import { MAX_NAME_CHARS } from "../model/prefs";
import { measureLevel } from "../session/level-meter";
import { localFeed, type LocalMedia, type MediaState } from "../session/local-media";
import { DeviceFields } from "./device-fields";

interface Props {
  room: string;
  media: LocalMedia;
  name: string;
  joining: boolean;
  error: string | null;
  join: (name: string) => void;
}

export function Prejoin({ room, media, name, joining, error, join }: Props) {
  const state = useMedia(media);
  return (
    <div class="prejoin">
      <header class="home-head">
        <a class="wordmark" href="/">
          {t("app.name")}
        </a>
      </header>
      <main class="prejoin-main">
        <h1>{t("prejoin.title", { room })}</h1>
        <div class="prejoin-look">
          <Preview state={state} />
          <Meter track={state.mic.track} />
        </div>
        <JoinForm media={media} state={state} name={name} joining={joining} error={error} join={join} />
      </main>
    </div>
  );
}

/** The state of local media, kept current. */
export function useMedia(media: LocalMedia): MediaState {
  const [state, setState] = useState(media.state);
  useEffect(() => media.subscribe(setState), [media]);
  return state;
}

function Preview({ state }: { state: MediaState }) {
  const video = useRef<HTMLVideoElement>(null);
  const { track, starting } = state.camera;
  useEffect(() => {
    const element = video.current;
    if (!element || !track) return;
    const feed = localFeed(track);
    feed.attach(element);
    return () => feed.detach(element);
  }, [track]);
  return (
    <div class="preview">
      <video ref={video} muted playsInline autoplay hidden={!track} aria-label={t("prejoin.preview")} />
      {!track && <p>{starting ? t("prejoin.camera.starting") : t("prejoin.camera.off")}</p>}
    </div>
  );
}

/** A thin bar under the chin of the picture, and one sentence for those who do not see it. */
function Meter({ track }: { track: MediaStreamTrack | null }) {
  const bar = useRef<HTMLDivElement>(null);
  const heard = useSignal(false);
  useEffect(() => {
    heard.value = false;
    if (!track) return;
    return measureLevel(track, (level) => {
      bar.current?.style.setProperty("--level", level.toFixed(2));
      if (level > 0.35) heard.value = true;
    });
  }, [track]);
  if (!track) return null;
  return (
    <div class="meter">
      <div class="meter-bar" ref={bar} aria-hidden="true" title={t("prejoin.level")} />
      <p class="hint" role="status">
        {heard.value ? t("prejoin.level.heard") : t("prejoin.level.quiet")}
      </p>
    </div>
  );
}

interface FormProps extends Omit<Props, "room"> {
  state: MediaState;
}

function JoinForm({ media, state, name, joining, error, join }: FormProps) {
  const typed = useSignal(name);
  const missing = useSignal(false);
  const field = useRef<HTMLInputElement>(null);
  const go = async (camera: boolean) => {
    const who = typed.value.trim();
    missing.value = who === "";
    if (who === "") {
      field.current?.focus();
      return;
    }
    if (!camera) await media.setCamera(false);
    join(who);
  };
  return (
    <form
      class="prejoin-form"
      noValidate
      aria-busy={joining}
      onSubmit={(event) => {
        event.preventDefault();
        void go(true);
      }}
    >
      <div class="row">
        <label for="name">{t("prejoin.name")}</label>
        <input
          id="name"
          ref={field}
          class="field"
          data-testid="prejoin-name"
          autocomplete="name"
          maxLength={MAX_NAME_CHARS}
          value={typed.value}
          onInput={(event) => (typed.value = event.currentTarget.value)}
          aria-invalid={missing.value}
          aria-describedby={missing.value ? "name-fault" : undefined}
        />
        {missing.value && (
          <p id="name-fault" class="fault" role="alert">
            {t("prejoin.name.needed")}
          </p>
        )}
      </div>
      <DeviceFields media={media} state={state} />
      {error !== null && (
        <p class="fault" role="alert" data-testid="join-error">
          {error}
        </p>
      )}
      <div class="actions">
        <button type="submit" class="primary" data-testid="prejoin-join" disabled={joining}>
          {joining ? t("prejoin.joining") : t("prejoin.join")}
        </button>
        <button type="button" class="secondary" data-testid="prejoin-join-no-camera" disabled={joining} onClick={() => void go(false)}>
          {t("prejoin.join.no-camera")}
        </button>
      </div>
    </form>
  );
}
