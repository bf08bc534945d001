/**
 * Server-sent events from a stream of text, as the HTML standard defines them. Pure.
 *
 * The browser's own `EventSource` cannot send a token in a header, and a token has no place in an
 * address; so the page reads the stream itself.
 */

export interface StreamEvent {
  /** Its kind; "message" where the stream names none. */
  event: string;
  data: string;
  /** The last id that the stream has named, "" before the first. */
  id: string;
}

/** Takes text as it comes, in pieces of any size; gives the events that are complete. */
export class EventStreamParser {
  private rest = "";
  private data: string[] = [];
  private event = "";
  private id = "";
  private isFirst = true;
  /** Whether the last piece ended in a carriage return: a line feed that follows belongs to it. */
  private afterReturn = false;

  push(piece: string): StreamEvent[] {
    let text = piece;
    if (this.isFirst && text.length > 0) {
      this.isFirst = false;
      if (text.startsWith("\uFEFF")) text = text.slice(1);
    }
    if (this.afterReturn && text.startsWith("\n")) text = text.slice(1);
    if (piece.length > 0) this.afterReturn = piece.endsWith("\r");
    const lines = (this.rest + text).split(/\r\n|\n|\r/);
    this.rest = lines.pop() ?? "";
    return lines.map((line) => this.line(line)).filter((event) => event !== null);
  }

  private line(line: string): StreamEvent | null {
    if (line === "") return this.dispatch();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.data.push(value);
    else if (field === "event") this.event = value;
    else if (field === "id" && !value.includes("\0")) this.id = value;
    // Comments are heartbeats; `retry` is left alone: the page has its own pauses.
    return null;
  }

  private dispatch(): StreamEvent | null {
    const { data, event } = this;
    this.data = [];
    this.event = "";
    return data.length === 0 ? null : { event: event || "message", data: data.join("\n"), id: this.id };
  }
}
