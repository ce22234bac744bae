/** What is said while the connection is in trouble: one line, in three stages, never in front of anything. */
import { useEffect, useState } from "preact/hooks";
import { t } from "../i18n";
import { type LinkState, nextStageInMs, type Stage, stageOf } from "../model/connection";
import type { Meeting } from "../model/meeting";
import type { Session } from "../session/port";

/** The stage of a link, moving on by itself as time passes. */
export function useStage(link: LinkState): Stage {
  const [, tick] = useState(0);
  const stage = stageOf(link, Date.now());
  useEffect(() => {
    const due = nextStageInMs(link, Date.now());
    if (due === null) return;
    const timer = setTimeout(() => tick((n) => n + 1), due + 5);
    return () => clearTimeout(timer);
  }, [link, stage]);
  return stage;
}

interface Props {
  meeting: Meeting;
  stage: Stage;
  session: Session;
}

export function LinkBanner({ meeting, stage, session }: Props) {
  if (stage === "connected" || stage === "connecting") return null;
  const { link } = meeting;
  if (stage !== "lost") {
    return (
      <section class="link-banner" data-stage={stage} aria-label={t("link.label")}>
        <p>{stageText(stage, link)}</p>
      </section>
    );
  }
  return (
    <section class="link-banner" data-stage={stage} aria-label={t("link.label")}>
      <div>
        <p class="link-title">{stageText(stage, link)}</p>
        <p>{cause(link)}</p>
      </div>
      <div class="actions">
        <button type="button" class="primary" onClick={() => session.retryNow()}>
          {t("link.try-now")}
        </button>
        <button type="button" class="secondary" onClick={() => void session.leave()}>
          {t("bar.leave")}
        </button>
      </div>
    </section>
  );
}

/** The headline of a stage; also what is announced when it begins. */
export function stageText(stage: Stage, link: LinkState): string {
  switch (stage) {
    case "connecting":
      return t("link.connecting");
    case "connected":
      return "";
    case "unstable":
      return t("link.unstable");
    case "reconnecting":
      return link.kind === "down" && link.through !== null
        ? t("link.reconnecting.through", { region: link.through })
        : t("link.reconnecting");
    case "lost":
      return link.kind === "ended" ? t("link.gave-up") : t("link.lost");
  }
}

function cause(link: LinkState): string {
  if (!navigator.onLine) return t("link.lost.network");
  if (link.kind === "down" && link.nodeReachable === false) return t("link.lost.node", { node: link.node });
  return link.kind === "ended" ? t("left.text.failed") : t("link.lost.unknown");
}
