/** What somebody wrote, until a node has taken it. Messages keep their order and outlive any connection. */
import type { FactListener, Line } from "./port";

export class Outbox {
  private readonly waiting: { id: string; text: string }[] = [];
  private serial = 0;
  private sending = false;

  constructor(
    private readonly name: string,
    private readonly tell: FactListener,
  ) {}

  /** Shows a message at once, as one that is still on its way. */
  add(text: string, nowMs: number): void {
    const id = `own-${++this.serial}`;
    this.waiting.push({ id, text });
    this.tell({ type: "chat", message: { id, from: "", name: this.name, text, atMs: nowMs, self: true, delivery: "pending" } });
  }

  /** Sends what waits, one after the other, for as long as `carrier` answers the line it started on. */
  async flush(carrier: () => Line | null): Promise<void> {
    if (this.sending) return;
    this.sending = true;
    for (let line = carrier(); line && this.waiting[0]; line = carrier()) await this.send(this.waiting[0], line, carrier);
    this.sending = false;
  }

  private async send(message: { id: string; text: string }, line: Line, carrier: () => Line | null): Promise<void> {
    try {
      await line.sendChat(message.text);
      this.waiting.shift();
      this.tell({ type: "chat-sent", id: message.id });
    } catch (error) {
      // When the connection broke under it the message waits for the next one; else it was refused.
      if (carrier() !== line) return;
      console.warn("a chat message was not sent", error);
      this.waiting.shift();
      this.tell({ type: "chat-failed", id: message.id });
    }
  }
}
