import assert from "node:assert/strict";
import { test } from "node:test";
import { drawScene, bondWidth, LEG_LENGTH } from "../../app/tensorloom/view/editor/canvas/scene.ts";
import { inside } from "../../app/tensorloom/view/editor/canvas/outlines.ts";
import { distance } from "../../app/tensorloom/view/editor/canvas/points.ts";
import type { DocumentJson, MarkShape } from "../../app/tensorloom/view/editor/protocol.ts";

/** Tensors as "name@x,y:indices", all circles unless a shape is given after a slash. */
function drawn(tensors: string[], output = "", anchors: DocumentJson["anchors"] = {}): DocumentJson {
  const document: DocumentJson = { tensorloom: 1, title: "", dtype: "float64", tensors: [], dimensions: {}, output: [...output], marks: {}, anchors };
  for (const text of tensors) {
    const [, name = "", x = "0", y = "0", indices = "", shape = "circle"] = /^(\w+)@(-?\d+),(-?\d+):(\w*)(?:\/(.+))?$/.exec(text) ?? [];
    document.tensors.push({ id: name, name, indices: [...indices], array: { kind: "constant", value: 1 } });
    document.marks[name] = { x: Number(x), y: Number(y), shape: shape as MarkShape, colour: "blue" };
    for (const index of indices) document.dimensions[index] = 2;
  }
  return document;
}

function indexOf(document: DocumentJson, name: string) {
  const found = drawScene(document).byName.get(name);
  assert.ok(found, `${name} is drawn`);
  return found;
}

function assertClose(one: { x: number; y: number }, other: { x: number; y: number }, within = 0.01): void {
  assert.ok(distance(one, other) < within, `(${one.x}, ${one.y}) is not (${other.x}, ${other.y})`);
}

test("a bond runs straight from border to border", () => {
  const bond = indexOf(drawn(["A@0,0:i", "B@200,0:i"]), "i");
  assert.equal(bond.kind, "bond");
  const [strand] = bond.strands;
  assert.ok(strand);
  assertClose(strand.curve.from, { x: 25, y: 0 });
  assertClose(strand.curve.to, { x: 175, y: 0 });
});

test("a triangle is left at its tip and at its base", () => {
  const [strand] = indexOf(drawn(["A@0,0:i/triangle-right", "B@200,0:i/triangle-right"]), "i").strands;
  assert.ok(strand);
  assertClose(strand.curve.from, { x: 30, y: 0 });
  assertClose(strand.curve.to, { x: 181, y: 0 });
});

test("every end of a bond lies on the outline, for all shapes and directions", () => {
  const shapes: MarkShape[] = ["circle", "square", "triangle-right", "triangle-left", "dot", "diamond", "none"];
  for (const shape of shapes) {
    for (let turn = 0; turn < 12; turn += 1) {
      const [x, y] = [Math.round(150 * Math.cos((turn * Math.PI) / 6)), Math.round(150 * Math.sin((turn * Math.PI) / 6))];
      const [strand] = indexOf(drawn([`A@0,0:i/${shape}`, `B@${x},${y}:i`]), "i").strands;
      assert.ok(strand);
      const { from } = strand.curve;
      assert.equal(inside(shape, from.x * 0.99, from.y * 0.99), true, `${shape} ${turn}: just within`);
      assert.equal(inside(shape, from.x * 1.01, from.y * 1.01), false, `${shape} ${turn}: just without`);
    }
  }
});

test("parallel bonds fan out to both sides and do not meet", () => {
  const scene = drawScene(drawn(["A@0,0:ij", "B@200,0:ji"]));
  const middles = ["i", "j"].map((name) => {
    const curve = scene.byName.get(name)?.strands[0]?.curve;
    assert.ok(curve);
    return (curve.from.y + 3 * curve.one.y + 3 * curve.two.y + curve.to.y) / 8;
  });
  assert.ok(Math.abs((middles[0] ?? 0) - (middles[1] ?? 0)) > 15, `middles at ${middles.join(" and ")}`);
  assert.ok((middles[0] ?? 0) * (middles[1] ?? 0) < 0);
});

test("three parallel bonds keep the middle one straight", () => {
  const scene = drawScene(drawn(["A@0,0:ijk", "B@200,0:ijk"]));
  const curve = scene.byName.get("j")?.strands[0]?.curve;
  assert.ok(curve);
  assert.equal(curve.one.y, 0);
  assert.equal(curve.two.y, 0);
});

test("a bond bends around a tensor that is in its way", () => {
  const curve = indexOf(drawn(["A@0,0:i", "B@200,0:i", "C@100,0:"]), "i").strands[0]?.curve;
  assert.ok(curve);
  assert.ok(Math.abs(curve.one.y) > 60, `control at ${curve.one.y}`);
});

test("an index twice on one tensor is a loop that starts and ends on it", () => {
  const loop = indexOf(drawn(["A@0,0:ii"]), "i");
  assert.equal(loop.kind, "loop");
  const [strand] = loop.strands;
  assert.ok(strand);
  assert.deepEqual(strand.tensors, ["A", "A"]);
  assert.ok(Math.abs(Math.hypot(strand.curve.from.x, strand.curve.from.y) - 25) < 0.01);
  assert.ok(Math.abs(Math.hypot(strand.curve.to.x, strand.curve.to.y) - 25) < 0.01);
});

test("three ends make a dot in the middle with three spokes", () => {
  const hyper = indexOf(drawn(["A@0,0:i", "B@300,0:i", "C@150,300:i"]), "i");
  assert.equal(hyper.kind, "hyper");
  assert.equal(hyper.strands.length, 3);
  assert.deepEqual(hyper.dot, { x: 150, y: 100 });
  assert.equal(hyper.free, null);
});

test("an anchor places the dot", () => {
  assert.deepEqual(indexOf(drawn(["A@0,0:i", "B@300,0:i", "C@150,300:i"], "", { i: [10, 90] }), "i").dot, { x: 10, y: 90 });
});

test("a bond that is open as well has a dot with a free end", () => {
  const hyper = indexOf(drawn(["A@0,0:i", "B@300,0:i"], "i"), "i");
  assert.equal(hyper.kind, "hyper");
  assert.equal(hyper.strands.length, 3);
  assert.deepEqual(hyper.dot, { x: 150, y: 0 });
  assert.ok(hyper.free);
});

test("a dot is not drawn on a tensor", () => {
  const hyper = indexOf(drawn(["A@0,0:i", "B@100,0:i", "C@200,0:i"]), "i");
  assert.ok(hyper.dot);
  assert.ok(distance(hyper.dot, { x: 100, y: 0 }) > 40);
});

test("a bond beside the spokes of a dot bends away from them", () => {
  const document = drawn(["A@0,0:ik", "B@200,0:ik", "C@100,-200:i"], "", { i: [100, 0] });
  const curve = indexOf(document, "k").strands[0]?.curve;
  assert.ok(curve);
  assert.ok(Math.abs(curve.one.y) > 20);
});

test("an open leg points down when nothing else is there, away from what is", () => {
  const alone = indexOf(drawn(["A@0,0:i"], "i"), "i");
  assert.equal(alone.kind, "open");
  assert.ok(alone.free);
  assertClose(alone.free, { x: 0, y: LEG_LENGTH });
  const below = indexOf(drawn(["A@0,0:ij", "B@0,200:j"], "i"), "i");
  assert.ok(below.free);
  assertClose(below.free, { x: 0, y: -LEG_LENGTH });
});

test("a matrix alone has its legs left and right", () => {
  const scene = drawScene(drawn(["A@0,0:ij"], "ij"));
  assertClose(scene.byName.get("i")?.free ?? { x: 0, y: 0 }, { x: -LEG_LENGTH, y: 0 });
  assertClose(scene.byName.get("j")?.free ?? { x: 0, y: 0 }, { x: LEG_LENGTH, y: 0 });
});

test("a lone index that is summed ends in a dot", () => {
  const summed = indexOf(drawn(["A@0,0:i"]), "i");
  assert.equal(summed.kind, "summed");
  assert.ok(summed.dot);
  assert.equal(summed.free, null);
});

test("width grows with the logarithm of the dimension", () => {
  assert.equal(bondWidth(1), 1.2);
  assert.equal(bondWidth(8), 1.2 + 0.9 * 3);
  assert.equal(bondWidth(2 ** 30), 14);
});

test("an empty document is an empty scene", () => {
  assert.deepEqual(drawScene(drawn([])).indices, []);
});
