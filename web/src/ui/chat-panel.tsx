/** What was written, and a line to write. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import type { ChatMessage, Meeting } from "../model/meeting";
import type { Session } from "../session/port";
import { PanelFrame } from "./panel";

/** Longest message that can be written, in characters. */
const MAX_TEXT_CHARS = 4_000;

const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

export function ChatPanel({ meeting, session, close }: { meeting: Meeting; session: Session; close: () => void }) {
  const list = useRef<HTMLDivElement>(null);
  const { chat } = meeting;
  useEffect(() => {
    const element = list.current;
    if (element) element.scrollTop = element.scrollHeight;
  }, [chat.length]);
  return (
    <PanelFrame id="chat" title={t("chat.title")} close={close}>
      {chat.length === 0 && <p class="hint panel-empty">{t("chat.empty")}</p>}
      <div class="chat" ref={list} tabIndex={0} role="log" aria-labelledby="chat-title">
        <ol>
          {chat.map((message, index) => (
            <Message key={`${message.from}/${message.id}`} message={message} follows={followsOn(chat[index - 1], message)} />
          ))}
        </ol>
      </div>
      <Writing session={session} />
    </PanelFrame>
  );
}

/** Whether a message goes on under the name already standing above it. */
function followsOn(before: ChatMessage | undefined, message: ChatMessage): boolean {
  return before !== undefined && before.self === message.self && before.from === message.from && message.atMs - before.atMs < 120_000;
}

function Message({ message, follows }: { message: ChatMessage; follows: boolean }) {
  return (
    <li class="chat-message" data-testid="chat-message" data-from={message.name} data-identity={message.from} data-self={message.self} data-delivery={message.delivery}>
      {!follows && (
        <p class="chat-head">
          <span class="chat-name">{message.self ? t("chat.you") : message.name}</span>
          <time class="clock">{time.format(message.atMs)}</time>
        </p>
      )}
      <p class="chat-text" dir="auto">
        {message.text}
      </p>
      {message.delivery !== "sent" && (
        <p class={message.delivery === "failed" ? "fault" : "hint"}>
          {message.delivery === "failed" ? t("chat.failed") : t("chat.pending")}
        </p>
      )}
    </li>
  );
}

function Writing({ session }: { session: Session }) {
  const text = useSignal("");
  const send = () => {
    const message = text.value.trim();
    if (message === "") return;
    session.sendChat(message);
    text.value = "";
  };
  return (
    <form
      class="chat-form"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <label class="unseen" for="chat-input">
        {t("chat.input")}
      </label>
      <textarea
        id="chat-input"
        class="field"
        data-testid="chat-input"
        data-first
        rows={2}
        maxLength={MAX_TEXT_CHARS}
        placeholder={t("chat.input")}
        value={text.value}
        onInput={(event) => (text.value = event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
          event.preventDefault();
          send();
        }}
      />
      <button type="submit" class="primary" data-testid="chat-send">
        {t("chat.send")}
      </button>
    </form>
  );
}
