/** First screen: start a meeting with three words, or go to one by its link. */
import { useSignal } from "@preact/signals";
import type { Theme } from "../model/prefs";
import { destinationOf, invitation, MAX_ROOM_CHARS, roomSlug, threeWords } from "../model/rooms";
import { t } from "../i18n";
import { ShuffleIcon } from "./icons";
import { prefer, prefs } from "./preferences";

function words(): string {
  return threeWords((below) => {
    const draw = new Uint32Array(1);
    // Rejecting the uneven rest keeps every word equally likely.
    const limit = Math.floor(0x1_0000_0000 / below) * below;
    do crypto.getRandomValues(draw);
    while ((draw[0] ?? 0) >= limit);
    return (draw[0] ?? 0) % below;
  });
}

export function Home() {
  document.title = t("app.name");
  return (
    <div class="home">
      <header class="home-head">
        <span class="wordmark">{t("app.name")}</span>
        <ThemeChoice />
      </header>
      <main class="home-main">
        <h1>{t("home.title")}</h1>
        <StartForm />
        <LinkForm />
      </main>
      <footer class="home-foot">
        <a href="/licenses.txt">{t("home.licences")}</a>
      </footer>
    </div>
  );
}

function StartForm() {
  const name = useSignal(words());
  const fault = useSignal(false);
  const start = (event: Event) => {
    event.preventDefault();
    const slug = roomSlug(name.value);
    fault.value = slug === "";
    if (slug !== "") location.assign(`/m/${encodeURIComponent(slug)}${location.search}`);
  };
  return (
    <form class="start" onSubmit={start} noValidate>
      <label for="room">{t("home.room")}</label>
      <div class="start-line">
        <input
          id="room"
          class="start-field"
          data-testid="home-room"
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          maxLength={MAX_ROOM_CHARS}
          value={name.value}
          onInput={(event) => (name.value = event.currentTarget.value)}
          aria-invalid={fault.value}
          aria-describedby={fault.value ? "room-fault" : "room-hint"}
        />
        <button type="button" class="quiet icon-only" title={t("home.other")} onClick={() => (name.value = words())}>
          <ShuffleIcon />
          <span class="unseen">{t("home.other")}</span>
        </button>
        <button type="submit" class="primary" data-testid="home-start">
          {t("home.start")}
        </button>
      </div>
      <p id="room-hint" class="hint">
        {t("home.room.hint")}
      </p>
      {fault.value && (
        <p id="room-fault" class="fault" role="alert">
          {t("home.room.empty")}
        </p>
      )}
    </form>
  );
}

function LinkForm() {
  const link = useSignal("");
  const fault = useSignal(false);
  const open = (event: Event) => {
    event.preventDefault();
    const destination = destinationOf(link.value, location.origin);
    fault.value = destination === null;
    if (destination !== null) location.assign(destination);
  };
  return (
    <form class="link" onSubmit={open} noValidate>
      <label for="link">{t("home.link")}</label>
      <div class="start-line">
        <input
          id="link"
          class="field"
          data-testid="home-link"
          inputMode="url"
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          placeholder={t("home.link.placeholder")}
          value={link.value}
          onInput={(event) => (link.value = event.currentTarget.value)}
          aria-invalid={fault.value}
          aria-describedby={fault.value ? "link-fault" : undefined}
        />
        <button type="submit" class="secondary" data-testid="home-open">
          {t("home.open")}
        </button>
      </div>
      {fault.value && (
        <p id="link-fault" class="fault" role="alert">
          {t("home.link.bad", { example: invitation(location.origin, "amber-fjord-oak") })}
        </p>
      )}
    </form>
  );
}

/** Day, night, or as the system has it. */
export function ThemeChoice() {
  return (
    <label class="theme">
      <span>{t("home.theme")}</span>
      <select
        class="field"
        value={prefs.value.theme}
        onChange={(event) => prefer({ theme: event.currentTarget.value as Theme })}
      >
        <option value="auto">{t("theme.auto")}</option>
        <option value="light">{t("theme.light")}</option>
        <option value="dark">{t("theme.dark")}</option>
      </select>
    </label>
  );
}
