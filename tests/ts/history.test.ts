import assert from "node:assert/strict";
import { test } from "node:test";
import { amend, cancel, commit, live, newHistory, redo, undo } from "../../app/tensorloom/view/editor/model/history.ts";
import type { Command, DocumentJson } from "../../app/tensorloom/view/editor/protocol.ts";

const START: DocumentJson = {
  tensorloom: 1, title: "Start", dtype: "float64",
  tensors: [{ id: "t1", name: "A", indices: ["i", "j"], array: { kind: "constant", value: 1 } }],
  dimensions: { i: 2, j: 3 }, output: ["i", "j"], marks: { t1: { x: 0, y: 0, shape: "circle", colour: "blue" } }, anchors: {},
};

const size = (dimension: number): Command[] => [{ kind: "set-dimension", name: "i", dimension }];
const title = (text: string): Command[] => [{ kind: "set-title", title: text }];

test("one gesture is one step, however many live steps it had", () => {
  let history = newHistory(START);
  for (const dimension of [3, 4, 5]) history = live(history, "Set dimension", size(dimension));
  assert.equal(history.document.dimensions.i, 5);
  assert.equal(history.past.length, 0);
  history = commit(history, "Set dimension", size(6));
  assert.equal(history.past.length, 1);
  assert.deepEqual(undo(history)?.history.document, START);
});

test("a cancelled gesture leaves no trace", () => {
  const history = cancel(live(newHistory(START), "Set dimension", size(9)));
  assert.deepEqual(history, newHistory(START));
});

test("redo goes forward again until something new is done", () => {
  const one = commit(newHistory(START), "Rename", title("One"));
  const back = undo(one);
  assert.ok(back);
  assert.equal(redo(back.history)?.history.document.title, "One");
  assert.equal(redo(commit(back.history, "Rename", title("Other"))), null);
});

test("a burst of typing is one step, there and back", () => {
  let history = commit(newHistory(START), "Rename", title("Named"));
  history = amend(history, "Type the equation", size(3));
  history = amend(history, "Type the equation", title("Typed"));
  history = amend(history, "Type the equation", size(8));
  assert.equal(history.past.length, 2);
  const back = undo(history);
  assert.ok(back);
  assert.deepEqual([back.history.document.title, back.history.document.dimensions.i], ["Named", 2]);
  const again = redo(back.history);
  assert.deepEqual(again?.history.document, history.document);
});
