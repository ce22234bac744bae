/** Devices, appearance and keys, changeable during the meeting. */
import { t } from "../i18n";
import type { MediaState } from "../session/local-media";
import type { Session } from "../session/port";
import { DeviceFields } from "./device-fields";
import { ThemeChoice } from "./home";
import { PanelFrame } from "./panel";
import { prefer, prefs } from "./preferences";

export function SettingsPanel({ session, state, close }: { session: Session; state: MediaState; close: () => void }) {
  return (
    <PanelFrame id="settings" title={t("settings.title")} close={close}>
      <div class="settings">
        <DeviceFields media={session.media} state={state} />
        <ThemeChoice />
        <div class="check">
          <input
            type="checkbox"
            id="shortcuts"
            checked={prefs.value.shortcuts}
            onChange={(event) => prefer({ shortcuts: event.currentTarget.checked })}
            aria-describedby="shortcuts-hint"
          />
          <label for="shortcuts">{t("settings.shortcuts")}</label>
          <p class="hint" id="shortcuts-hint">
            {t("settings.shortcuts.hint")}
          </p>
        </div>
      </div>
    </PanelFrame>
  );
}
