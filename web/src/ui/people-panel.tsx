/** Who is here, and through which node. */
import { useSignal } from "@preact/signals";
import { t } from "../i18n";
import { type Meeting, others, self } from "../model/meeting";
import type { Person } from "../model/person";
import { MicIcon } from "./icons";
import { PanelFrame } from "./panel";

/** From this many people on, a field to find one of them is worth its place. */
const FIND_FROM = 8;

export function PeoplePanel({ meeting, close }: { meeting: Meeting; close: () => void }) {
  const find = useSignal("");
  const own = self(meeting);
  const everybody = own ? [own, ...byName(others(meeting))] : byName(others(meeting));
  const wanted = find.value.trim().toLocaleLowerCase();
  const shown = everybody.filter((person) => person.name.toLocaleLowerCase().includes(wanted));
  return (
    <PanelFrame id="people" title={t("people.title")} close={close}>
      <p class="panel-count">{t("meeting.people.count", { count: everybody.length })}</p>
      {everybody.length >= FIND_FROM && (
        <div class="panel-find">
          <label for="people-find">{t("people.find")}</label>
          <input id="people-find" type="search" class="field" value={find.value} onInput={(event) => (find.value = event.currentTarget.value)} />
        </div>
      )}
      {shown.length === 0 && <p class="hint panel-empty">{t("people.none")}</p>}
      <ul class="people" tabIndex={0} aria-labelledby="people-title">
        {shown.map((person) => (
          <Row key={person.identity} person={person} speaking={meeting.speakers.includes(person.identity)} />
        ))}
      </ul>
    </PanelFrame>
  );
}

function byName(people: Person[]): Person[] {
  return [...people].sort((a, b) => a.name.localeCompare(b.name) || (a.identity < b.identity ? -1 : 1));
}

function Row({ person, speaking }: { person: Person; speaking: boolean }) {
  const where = person.region ? t("people.node", { region: person.region }) : t("people.node.unknown");
  return (
    <li
      class="people-row"
      data-testid="people-row"
      data-identity={person.identity}
      data-name={person.name}
      data-node={person.node ?? ""}
      data-region={person.region ?? ""}
      data-speaking={speaking}
    >
      <span class="people-name">
        {person.name}
        {person.self && <span class="people-self"> ({t("people.you")})</span>}
      </span>
      <span class="people-node figures" title={where}>
        <span aria-hidden="true">{person.node ?? "–"}</span>
        <span class="unseen">{where}</span>
      </span>
      <span class="people-region" aria-hidden="true">
        {person.region ?? ""}
      </span>
      <span class="people-mic" data-on={person.micOn}>
        <MicIcon off={!person.micOn} />
        <span class="unseen">{person.micOn ? t("people.mic.on") : t("people.mic.off")}</span>
      </span>
    </li>
  );
}
