/** The page after a meeting: what happened, and the two ways on. */
import { useEffect, useRef } from "preact/hooks";
import type { EndReason } from "../model/connection";
import { t } from "../i18n";

export function Left({ room, reason, again }: { room: string; reason: EndReason; again: () => void }) {
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => title.current?.focus(), []);
  return (
    <div class="home">
      <header class="home-head">
        <span class="wordmark">{t("app.name")}</span>
      </header>
      <main class="home-main" data-testid="left" data-reason={reason}>
        <h1 ref={title} tabIndex={-1}>
          {t(`left.title.${reason}`, { room })}
        </h1>
        <p class="lead">{t(`left.text.${reason}`)}</p>
        <div class="actions">
          <button type="button" class="primary" data-testid="left-again" onClick={again}>
            {t("left.again")}
          </button>
          <a class="secondary" href="/" data-testid="left-home">
            {t("left.home")}
          </a>
        </div>
      </main>
    </div>
  );
}
