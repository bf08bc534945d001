import assert from "node:assert/strict";
import { test } from "node:test";
import { type Label, placeLabels } from "../../app/tensorloom/view/editor/canvas/labels.ts";
import { mathName, nameWidth, spokenName } from "../../app/tensorloom/view/editor/canvas/mathName.ts";
import { boxAround, overlap } from "../../app/tensorloom/view/editor/canvas/points.ts";
import { drawScene } from "../../app/tensorloom/view/editor/canvas/scene.ts";
import { rowOf } from "./drawnNetwork.ts";

const NOTHING = { selected: new Set<string>(), hovered: null, view: null, scale: 1 };

function assertApart(labels: readonly Label[]): void {
  const boxes = labels.map(({ kind, text, x, y }) => boxAround({ x, y }, kind === "name" ? nameWidth(mathName(text), 16) : text.length * 6.6, 11));
  boxes.forEach((box, place) => boxes.slice(place + 1).forEach((other, offset) => assert.equal(overlap(box, other), false, `${labels[place]?.text} touches ${labels[place + 1 + offset]?.text}`)));
}

test("the name is above a bond and the dimension below it", () => {
  const labels = placeLabels(drawScene(rowOf("i,i->", { i: 17 })), NOTHING);
  const [name, dimension] = [labels.find(({ kind }) => kind === "name"), labels.find(({ kind }) => kind === "dimension")];
  assert.equal(name?.text, "i");
  assert.equal(dimension?.text, "17");
  assert.equal(dimension?.x.toFixed(3), "50.000");
  assert.ok((name?.y ?? 0) < -8 && (dimension?.y ?? 0) > 8);
});

test("labels never touch, however crowded", () => {
  const labels = placeLabels(drawScene(rowOf("abcdefg,abcdefghij,hijkl,klm->m")), NOTHING);
  assert.ok(labels.length > 8, `${labels.length} labels`);
  assertApart(labels);
});

test("a short leg shows its name at the end and no dimension", () => {
  const document = { ...rowOf("i->i"), anchors: { i: [0, 50] as [number, number] } };
  const labels = placeLabels(drawScene(document), NOTHING);
  assert.deepEqual(labels.map(({ kind }) => kind), ["name"]);
  assert.ok((labels[0]?.y ?? 0) > 55);
});

test("in a large drawing only what is held or open has a name", () => {
  const document = rowOf("abcdefghi,abcdefghi,jklmno,jklmnop->p");
  const names = (selected: Set<string>) => placeLabels(drawScene(document), { ...NOTHING, selected }).filter(({ kind }) => kind === "name").map(({ text }) => text);
  assert.deepEqual(names(new Set()), ["p"]);
  assert.deepEqual(names(new Set(["c"])).sort(), ["c", "p"]);
});

test("a large drawing of bits shows the dimensions of what is held", () => {
  const text = "abcdefghi,abcdefghi,jklmno,jklmnop->p";
  const dimensions = (size: number, selected: string[]) => {
    const document = rowOf(text, Object.fromEntries([..."abcdefghijklmnop"].map((name) => [name, name === "b" ? size : 2])));
    return placeLabels(drawScene(document), { ...NOTHING, selected: new Set(selected) }).filter(({ kind }) => kind === "dimension").map(({ index }) => index);
  };
  assert.deepEqual(dimensions(2, []), []);
  assert.deepEqual(dimensions(2, ["c"]), ["c"]);
  assert.ok(dimensions(3, []).length > 2);
});

test("what is out of view is not labelled", () => {
  const view = { left: 5000, right: 6000, top: 0, bottom: 100 };
  assert.deepEqual(placeLabels(drawScene(rowOf("i,i->")), { ...NOTHING, view }), []);
});

test("names read as mathematics", () => {
  assert.deepEqual(mathName("A_1"), { base: "A", subscript: "1", conjugate: false, word: false });
  assert.deepEqual(mathName("A12"), { base: "A", subscript: "12", conjugate: false, word: false });
  assert.deepEqual(mathName("A_1*"), { base: "A", subscript: "1", conjugate: true, word: false });
  assert.deepEqual(mathName("Ā_3"), { base: "A", subscript: "3", conjugate: true, word: false });
  assert.deepEqual(mathName("lambda_2"), { base: "λ", subscript: "2", conjugate: false, word: false });
  assert.equal(mathName("measure").word, true);
  assert.equal(mathName("7").base, "7");
  assert.equal(mathName("_").base, "_");
  assert.equal(spokenName("Ā_3"), "A 3 conjugate");
});

test("a very long name is shortened", () => {
  assert.equal([...mathName("x".repeat(60)).base].length, 14);
});
