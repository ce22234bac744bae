/** The one live region of a meeting, and the short notes that are also shown. */
import { useEffect, useState } from "preact/hooks";
import { t, type Values } from "../i18n";
import type { Stage } from "../model/connection";
import type { Meeting, Notice } from "../model/meeting";
import type { DeviceFault, DeviceKind } from "../model/permission";
import { fixFor } from "./faults";
import { stageText } from "./link-banner";

/** How long a note stays in sight; messages that tell what to do stay longer. */
const SHOWN_MS = 5_000;
const SHOWN_FAULT_MS = 12_000;

export function Announcer({ meeting, stage }: { meeting: Meeting; stage: Stage }) {
  const { notice, link } = meeting;
  const [visible, setVisible] = useState<Notice | null>(null);
  const [spoken, setSpoken] = useState("");
  useEffect(() => {
    if (!notice) return;
    setSpoken(sentence(notice));
    if (!notice.shown) return;
    setVisible(notice);
    const timer = setTimeout(() => setVisible(null), isFault(notice) ? SHOWN_FAULT_MS : SHOWN_MS);
    return () => clearTimeout(timer);
  }, [notice?.serial]);
  useEffect(() => {
    const text = stageText(stage, link);
    if (text !== "") setSpoken(text);
  }, [stage]);
  return (
    <>
      <p class="unseen" role="status" aria-live="polite" data-testid="announcer">
        {spoken}
      </p>
      {visible && (
        <div class="toast" data-long={isFault(visible)} data-testid="toast" aria-hidden="true">
          {sentence(visible)}
        </div>
      )}
    </>
  );
}

function isFault(notice: Notice): boolean {
  return notice.key.startsWith("notice.fault.");
}

function sentence(notice: Notice): string {
  return t(notice.key, valuesOf(notice));
}

function valuesOf({ key, values }: Notice): Values {
  const device = /^notice\.fault\.(mic|camera|screen)$/.exec(key)?.[1];
  if (device === undefined) return values;
  return { fix: fixFor(device as DeviceKind, values["fault"] as DeviceFault) };
}
