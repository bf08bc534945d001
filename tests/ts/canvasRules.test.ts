import assert from "node:assert/strict";
import { test } from "node:test";
import { ACTIONS, actionFor, perform, registerActions, shownKey } from "../../app/tensorloom/view/editor/actions.ts";
import { aboutDrawing, aboutIndex, aboutTensor } from "../../app/tensorloom/view/editor/canvas/announce.ts";
import { fitted, sceneBox, toDiagram, toScreen, wellSeen } from "../../app/tensorloom/view/editor/canvas/fit.ts";
import { fragmentFrom, fragmentOf, pasted } from "../../app/tensorloom/view/editor/canvas/fragments.ts";
import { hintFor } from "../../app/tensorloom/view/editor/canvas/hints.ts";
import { hitTest } from "../../app/tensorloom/view/editor/canvas/hit.ts";
import { codes, targetsOf } from "../../app/tensorloom/view/editor/canvas/letters.ts";
import { blended } from "../../app/tensorloom/view/editor/canvas/motion.ts";
import type { Command, DocumentJson } from "../../app/tensorloom/view/editor/protocol.ts";
import { moved, stepped } from "../../app/tensorloom/view/editor/canvas/moves.ts";
import { freeIndexName, nextIndexName, nextTensorId, nextTensorName } from "../../app/tensorloom/view/editor/canvas/naming.ts";
import { zone } from "../../app/tensorloom/view/editor/canvas/outlines.ts";
import { boxAround, overlap } from "../../app/tensorloom/view/editor/canvas/points.ts";
import { popoverPlace } from "../../app/tensorloom/view/editor/canvas/popoverPlace.ts";
import { drawScene } from "../../app/tensorloom/view/editor/canvas/scene.ts";
import { snap } from "../../app/tensorloom/view/editor/canvas/snapping.ts";
import { applyAll } from "../../app/tensorloom/view/editor/model/reducer.ts";
import { rowOf } from "./drawnNetwork.ts";

test("ids and names are the next free ones", () => {
  const document = rowOf("ij,jk->ik");
  assert.equal(nextTensorId(document), "t3");
  assert.equal(nextTensorId(document, ["t9"]), "t10");
  assert.equal(nextTensorName(document), "C");
  assert.equal(nextIndexName(document), "l");
  assert.equal(nextIndexName(document, "lmnpqrstuvwxyzabcdefgh"), "i_1");
  assert.equal(freeIndexName("i", new Set(["i", "i_1"])), "i_2");
  assert.equal(freeIndexName("i_7", new Set(["i_7", "i_1"])), "i_2");
  assert.equal(freeIndexName("k", new Set(["i"])), "k");
});

test("the body moves, the rim pulls, beyond it is paper", () => {
  assert.equal(zone("circle", 0, 0), "body");
  assert.equal(zone("circle", 19, 0), "body");
  assert.equal(zone("circle", 21, 0), "rim");
  assert.equal(zone("circle", 36, 0), "rim");
  assert.equal(zone("circle", 38, 0), null);
  assert.equal(zone("dot", 7, 0), "body");
  assert.equal(zone("dot", 12, 0), "rim");
});

test("the pointer finds tensors before ends, ends before bonds", () => {
  const scene = drawScene({ ...rowOf("ij,i->j"), anchors: { j: [0, 80] } });
  assert.deepEqual(hitTest(scene, { x: 3, y: 2 }), { kind: "tensor", id: "t1", zone: "body" });
  assert.deepEqual(hitTest(scene, { x: 0, y: 84 }), { kind: "end", index: "j" });
  assert.deepEqual(hitTest(scene, { x: 50, y: 6 }), { kind: "bond", index: "i", at: { x: 50, y: 6 } });
  assert.equal(hitTest(scene, { x: 50, y: 6 }, { index: "i" }), null);
  assert.equal(hitTest(scene, { x: 50, y: 40 }), null);
});

test("moved tensors take their own ends along, shared dots stay", () => {
  const document = { ...rowOf("ih,ih,h->i"), anchors: { i: [0, 90] as [number, number], h: [50, 50] as [number, number] } };
  const alone = { ...rowOf("i,j->ij"), anchors: { i: [0, 90] as [number, number] } };
  assert.deepEqual(moved(alone, new Map([["t1", { x: 7.4, y: -3 }]])), { kind: "move", positions: { t1: [7, -3] }, anchors: { i: [7, 87] } });
  assert.deepEqual(moved(document, new Map([["t1", { x: 10, y: 0 }]])), { kind: "move", positions: { t1: [10, 0] }, anchors: {} });
  assert.deepEqual(stepped(alone, new Set(), new Set(["i"]), { x: 10, y: 0 }), { kind: "move", positions: {}, anchors: { i: [10, 90] } });
});

test("anchors go along whatever their index is called", () => {
  const plain = { ...rowOf("i,j->ij"), anchors: { i: [0, 90] } };
  const document = JSON.parse(JSON.stringify(plain).replaceAll('"i"', '"__proto__"')) as DocumentJson;
  const { anchors } = moved(document, new Map([["t1", { x: 7, y: -3 }]])) as Extract<Command, { kind: "move" }>;
  assert.deepEqual(Object.entries(anchors), [["__proto__", [7, 87]]]);
  const step = stepped(document, new Set(), new Set(["__proto__"]), { x: 10, y: 0 }) as Extract<Command, { kind: "move" }>;
  assert.deepEqual(Object.entries(step.anchors), [["__proto__", [10, 90]]]);
});

test("moving snaps to the nearest row or column within six pixels of the screen", () => {
  assert.deepEqual(snap([{ x: 104, y: 33 }], [{ x: 100, y: 0 }], 1), { shift: { x: -4, y: 0 }, column: 100, row: null });
  assert.deepEqual(snap([{ x: 104, y: 33 }], [{ x: 100, y: 0 }], 2), { shift: { x: 0, y: 0 }, column: null, row: null });
});

test("a piece is a document whose cut indices are open", () => {
  const document = rowOf("ij,jk,kl->il", { j: 3, k: 5 });
  const piece = fragmentOf(document, new Set(["t2"]));
  assert.deepEqual(piece.output, ["j", "k"]);
  assert.deepEqual(piece.dimensions, { j: 3, k: 5 });
  assert.deepEqual(fragmentFrom(JSON.stringify(piece)), piece);
  assert.equal(fragmentFrom("ij,jk->ik"), null);
  assert.equal(fragmentFrom('{"tensorloom": 99}'), null);
});

test("pasting gives fresh names and keeps the bonds of the piece", () => {
  const document = rowOf("ij,jk->ik");
  const { commands, tensors } = pasted(document, fragmentOf(document, new Set(["t1", "t2"])), { x: 32, y: 32 });
  const changed = applyAll(document, commands);
  assert.deepEqual(tensors, ["t3", "t4"]);
  assert.deepEqual(changed.tensors.map(({ indices }) => indices.join(" ")), ["i j", "j k", "i_1 j_1", "j_1 k_1"]);
  assert.deepEqual(changed.output, ["i", "k", "i_1", "k_1"]);
  assert.deepEqual(changed.marks.t4, { x: 132, y: 32, shape: "circle", colour: "blue" });
});

test("a fitted drawing is inside the canvas and seen well", () => {
  const box = sceneBox(drawScene(rowOf("ij,jk,kl->il")));
  const view = fitted(box, 1000, 600);
  assert.ok(wellSeen(box, view, 1000, 600));
  assert.equal(wellSeen(box, { x: -2000, y: 0, zoom: 1 }, 1000, 600), false);
  assert.equal(wellSeen(box, { x: 400, y: 300, zoom: 0.1 }, 1000, 600), false);
  assert.deepEqual(toDiagram(toScreen({ x: 12, y: -7 }, view), view).x.toFixed(6), "12.000000");
});

test("a popover stands below its bond, and above it at the lower edge", () => {
  const size = { width: 200, height: 70 };
  const canvas = { width: 800, height: 500 };
  const bond = (y: number) => ({ left: 300, right: 400, top: y - 10, bottom: y + 10 });
  assert.deepEqual(popoverPlace({ own: bond(200), ends: [], others: [] }, size, canvas), { x: 250, y: 226 });
  assert.deepEqual(popoverPlace({ own: bond(470), ends: [], others: [] }, size, canvas), { x: 250, y: 374 });
});

test("a popover never covers its bond, wherever that is", () => {
  for (let x = 0; x <= 800; x += 40) {
    for (let y = 0; y <= 500; y += 40) {
      const bond = { left: x - 60, right: x + 60, top: y - 12, bottom: y + 12 };
      const at = popoverPlace({ own: bond, ends: [], others: [] }, { width: 210, height: 76 }, { width: 800, height: 500 });
      assert.equal(overlap(boxAround({ x: at.x + 105, y: at.y + 38 }, 210, 76), bond), false, `bond at ${x}, ${y}`);
    }
  }
});

test("codes for connecting are of one length and none begins another", () => {
  assert.deepEqual(codes(3), ["a", "s", "d"]);
  assert.equal(new Set(codes(60)).size, 60);
  assert.ok(codes(60).every((code) => code.length === 2));
});

test("connecting offers everything in view but the source's own leg", () => {
  const scene = drawScene(rowOf("ij,jk->ik"));
  const view = { left: -500, right: 500, top: -500, bottom: 500 };
  const found = targetsOf(scene, { kind: "leg", index: "i", open: true }, { x: 0, y: 0 }, view).map(({ hit }) => (hit.kind === "tensor" ? hit.id : `${hit.kind} ${hit.index}`));
  assert.deepEqual(found.sort(), ["bond j", "end k", "t2"]);
});

test("gliding starts where things were and ends where they are", () => {
  const [from, to] = [rowOf("i,i->"), rowOf("i,i->")];
  from.marks.t1 = { x: -50, y: 10, shape: "circle", colour: "blue" };
  assert.deepEqual(blended(from, to, 0).marks.t1, { x: -50, y: 10, shape: "circle", colour: "blue" });
  assert.equal(blended(from, to, 0.5).marks.t1?.x, -25);
});

test("hints follow what was done and go once they are learnt", () => {
  const scene = drawScene(rowOf("i,i->"));
  const now = { scene, gesture: null, indexHeld: false, pulling: false, lettered: false };
  assert.equal(hintFor(now, new Set()), "Drag a number on a bond sideways: the value follows.");
  assert.equal(hintFor({ ...now, gesture: "Move" }, new Set()), "Drag from a tensor's rim to pull a leg.");
  assert.equal(hintFor({ ...now, gesture: "Pull a leg" }, new Set(["Pull a leg", "Pull a tensor"])), "Drop a leg on a bond to share its index.");
  assert.equal(hintFor({ ...now, scene: drawScene(rowOf("")) }, new Set()).length > 0, true);
});

test("keys lead to actions, with Shift only where it is no symbol", () => {
  const press = (key: string, held: string[] = []) => actionFor({ key, ctrlKey: held.includes("ctrl"), metaKey: held.includes("meta"), shiftKey: held.includes("shift"), altKey: held.includes("alt") });
  assert.equal(press("z", ["ctrl"]), "undo");
  assert.equal(press("Z", ["ctrl", "shift"]), "redo");
  assert.equal(press("z", ["meta"]), "undo");
  assert.equal(press("?", ["shift"]), "gestures");
  assert.equal(press("+", ["shift"]), "zoom-in");
  assert.equal(press(" "), "commands");
  assert.equal(press("ArrowLeft", ["shift"]), "nudge-left");
  assert.equal(press("z", ["alt"]), null);
  assert.equal(press("j"), null);
});

test("no key means two things, and every action has words", () => {
  const keys = ACTIONS.flatMap((action) => action.keys);
  assert.deepEqual(keys.filter((key, place) => keys.indexOf(key) !== place), []);
  assert.ok(ACTIONS.every(({ label }) => /^[A-Z]/.test(label)));
  assert.equal(shownKey("Mod+Shift+Z", false), "Ctrl+Shift+Z");
  assert.equal(shownKey("Mod+Shift+Z", true), "⌘⇧Z");
  assert.equal(shownKey("+", false), "+");
});

test("an action is done by who registered it, until that is taken back", () => {
  let count = 0;
  const back = registerActions({ tidy: () => { count += 1; }, share: () => false });
  assert.equal(perform("tidy"), true);
  assert.equal(perform("share"), false);
  back();
  assert.equal(perform("tidy"), false);
  assert.equal(count, 1);
});

test("things are described in full sentences", () => {
  const document = rowOf("ij,jk->ik", { i: 2, j: 7, k: 3 });
  const scene = drawScene(document);
  assert.equal(aboutTensor(document, "t1"), "Tensor A, 2 legs: i of dimension 2, j of dimension 7.");
  const index = (name: string) => {
    const found = scene.byName.get(name);
    assert.ok(found);
    return aboutIndex(scene, found);
  };
  assert.equal(index("j"), "Index j, dimension 7, bond between A and B.");
  assert.equal(index("k"), "Index k, dimension 3, open leg of B.");
  assert.equal(aboutDrawing(document), "2 tensors, 3 indices, 2 open legs.");
});
