import assert from "node:assert/strict";
import { test } from "node:test";
import { orderWords, searchWords, slicingWords } from "../../app/tensorloom/view/editor/chrome/orderText.ts";

const plain = (text: string): string => text.replaceAll("\u2009", " ");

test("a proof counts more than who found the order", () => {
  assert.deepEqual(orderWords({ finder: "greedy", proved: true }), { title: "Optimal order", aside: "proved" });
  assert.deepEqual(orderWords({ finder: "greedy", proved: false }), { title: "Greedy order", aside: "found at once" });
  assert.deepEqual(orderWords({ finder: "reconfigured", proved: false }), { title: "Improved order", aside: "parts made optimal" });
  assert.deepEqual(orderWords({ finder: "new-one", proved: false }), { title: "Order", aside: "new-one" });
});

test("slices are said with their indices", () => {
  assert.equal(slicingWords({ nSlices: "1", sliced: [] }), "");
  assert.equal(slicingWords({ nSlices: "8", sliced: ["a"] }), "8 parts, 1 index sliced");
  assert.equal(plain(slicingWords({ nSlices: "4096", sliced: ["a", "b"] })), "4 096 parts, 2 indices sliced");
});

test("a search says what it has tried", () => {
  const search = { kind: "search" as const, running: true, trials: 12, elapsedMs: 4230, bestMulAdds: "13952", message: "" };
  assert.equal(plain(searchWords(search)), "12 tried in 4.2 s, best 13 952");
  assert.equal(plain(searchWords({ ...search, message: "Found a better order" })), "Found a better order. 12 tried in 4.2 s, best 13 952");
  assert.equal(searchWords({ ...search, trials: 0, message: "Starting the search" }), "Starting the search");
});
