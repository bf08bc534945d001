import assert from "node:assert/strict";
import { test } from "node:test";
import { EventStreamParser, type StreamEvent } from "../../app/tensorloom/view/editor/remote/eventStream.ts";

const TEXT = '\uFEFFid: 7\nevent: job\ndata: {"a":\ndata:  1}\n\n: heartbeat\n\nretry: 10\nnonsense\ndata\n\nid: 8\r\ndata: x\r\n\r\nevent: gone\rdata: y\r\r';

function inPieces(sizes: (at: number) => number): StreamEvent[] {
  const parser = new EventStreamParser();
  const events: StreamEvent[] = [];
  for (let at = 0, size = 0; at < TEXT.length; at += size) {
    size = Math.max(1, sizes(at));
    events.push(...parser.push(TEXT.slice(at, at + size)));
  }
  return events;
}

const WANTED: StreamEvent[] = [
  { event: "job", data: '{"a":\n 1}', id: "7" },
  { event: "message", data: "", id: "7" },
  { event: "message", data: "x", id: "8" },
  { event: "gone", data: "y", id: "8" },
];

test("events of the standard's forms: fields, comments, three line ends, an empty data line", () => {
  assert.deepEqual(inPieces(() => TEXT.length), WANTED);
});

test("pieces of any size give the same events", () => {
  for (const size of [1, 2, 3, 5, 7, 11]) assert.deepEqual(inPieces(() => size), WANTED, `pieces of ${size}`);
  for (let seed = 1; seed < 60; seed++) assert.deepEqual(inPieces((at) => ((at * 31 + seed * 17) % 9) + 1), WANTED, `seed ${seed}`);
});

test("an event without its empty line is not given", () => {
  assert.deepEqual(new EventStreamParser().push("data: half\n"), []);
});
