/** Frame of a side panel: heading, close button, focus on arrival. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import { CloseIcon } from "./icons";

interface Props {
  id: string;
  title: string;
  close: () => void;
  children: ComponentChildren;
}

export function PanelFrame({ id, title, close, children }: Props) {
  const frame = useRef<HTMLElement>(null);
  useEffect(() => {
    const target = frame.current?.querySelector<HTMLElement>("[data-first]") ?? frame.current?.querySelector<HTMLElement>("h2");
    target?.focus();
  }, []);
  return (
    <aside class="panel" ref={frame} aria-labelledby={`${id}-title`} data-testid={`panel-${id}`}>
      <div class="panel-head">
        <h2 id={`${id}-title`} tabIndex={-1}>
          {title}
        </h2>
        <button type="button" class="quiet icon-only" onClick={close}>
          <CloseIcon />
          <span class="unseen">{t("meeting.close")}</span>
        </button>
      </div>
      {children}
    </aside>
  );
}
