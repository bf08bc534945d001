import assert from "node:assert/strict";
import { test } from "node:test";
import { indexAt, pieces, sizeChips } from "../../app/tensorloom/view/editor/chrome/formulaTokens.ts";

const spans = [
  { start: 0, end: 1, index: "i", tensor: "t1" },
  { start: 1, end: 2, index: "j", tensor: "t1" },
  { start: 3, end: 4, index: "j", tensor: "t2" },
  { start: 6, end: 7, index: "i", tensor: null },
];

test("pieces lose no character and know their index", () => {
  const found = pieces("ij,j->i", spans, null);
  assert.equal(found.map((piece) => piece.text).join(""), "ij,j->i");
  assert.deepEqual(found.map((piece) => piece.index), ["i", "j", null, "j", null, "i"]);
  assert.equal(found.filter((piece) => piece.arrow).map((piece) => piece.text).join(), "->");
});

test("the wrong character is marked, even past the end", () => {
  assert.deepEqual(pieces("i?,j", [], [1, 2]).filter((piece) => piece.wrong).map((piece) => piece.text), ["?"]);
  assert.equal(pieces("ij", [], [2, 2]).map((piece) => piece.text).join(""), "ij");
});

test("the caret lights the index it touches", () => {
  assert.equal(indexAt(spans, 0)?.index, "i");
  assert.equal(indexAt(spans, 2)?.index, "j");
  assert.equal(indexAt(spans, 5), null);
  assert.equal(indexAt(spans, 7)?.index, "i");
});

test("many sizes fold by dimension, none is lost", () => {
  const dimensions = Object.fromEntries([..."abcdefghijkl"].map((name, order) => [name, order < 4 ? 3 : 2]));
  const chips = sizeChips(dimensions, new Set(["l"]), 6);
  assert.ok(chips.length <= 8);
  assert.equal(chips.flatMap((chip) => chip.names).length, 12);
  assert.ok(chips.some((chip) => chip.label === "l"));
});
