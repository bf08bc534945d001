import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveDrop } from "../../app/tensorloom/view/editor/canvas/drops.ts";
import { addTensor, attach, capLeg, connect, insertOnBond, join, pullLeg, pullTensor, toggleOutput } from "../../app/tensorloom/view/editor/canvas/edits.ts";
import { removal } from "../../app/tensorloom/view/editor/canvas/removals.ts";
import { drawScene } from "../../app/tensorloom/view/editor/canvas/scene.ts";
import { applyAll, invertAll } from "../../app/tensorloom/view/editor/model/reducer.ts";
import type { Command, DocumentJson } from "../../app/tensorloom/view/editor/protocol.ts";
import { rowOf } from "./drawnNetwork.ts";

const equation = (document: DocumentJson): string => `${document.tensors.map(({ indices }) => indices.join("")).join(",")}->${document.output.join("")}`;

/** The equation afterwards; the inverse must lead back. */
function after(document: DocumentJson, commands: readonly Command[]): string {
  const changed = applyAll(document, commands);
  assert.deepEqual(applyAll(changed, invertAll(document, commands)), document);
  return equation(changed);
}

test("a new tensor has the next letter, the next id and no legs", () => {
  const document = rowOf("ij,jk->ik");
  const [command] = addTensor(document, { x: 10.4, y: 19.6 }, "square").commands;
  assert.ok(command?.kind === "add-tensor");
  assert.equal(command.tensor.id, "t3");
  assert.equal(command.tensor.name, "C");
  assert.deepEqual(command.mark, { x: 10, y: 20, shape: "square", colour: "green" });
  assert.deepEqual(command.tensor.array, { kind: "random", seed: 3, distribution: "normal" });
});

test("pulling a leg adds an open index of dimension 2 and its anchor", () => {
  const document = rowOf("ij,jk->ik");
  const { commands, index } = pullLeg(document, "t1", { x: -50, y: 60 });
  assert.equal(index, "l");
  const changed = applyAll(document, commands);
  assert.equal(after(document, commands), "ijl,jk->ikl");
  assert.deepEqual(changed.anchors, { l: [-50, 60] });
  assert.equal(changed.dimensions.l, 2);
});

test("pulling a tensor makes a bond to a new one", () => {
  const document = rowOf("ij->ij");
  assert.equal(after(document, pullTensor(document, "t1", { x: 200, y: 0 }).commands), "ijk,k->ij");
});

test("rim to rim is a new bond, rim to own rim a loop", () => {
  const document = rowOf("i,j->ij");
  assert.equal(after(document, connect(document, "t1", "t2").commands), "ik,jk->ij");
  assert.equal(after(document, connect(document, "t1", "t1").commands), "ikk,j->ij");
});

test("an open leg that reaches a tensor is a bond, and its anchor goes", () => {
  const document = { ...rowOf("i,j->ij", { i: 5 }), anchors: { i: [0, 90] as [number, number] } };
  const { commands } = attach(document, "t2", "i", null, true);
  assert.equal(after(document, commands), "i,ji->j");
  assert.deepEqual(applyAll(document, commands).anchors, {});
});

test("a leg dropped on a bond shares its index and places the dot", () => {
  const document = rowOf("ij,jk,l->ikl");
  const made = resolveDrop(document, { kind: "tensor", id: "t3" }, { kind: "bond", index: "j", at: { x: 50, y: 4 } }, { x: 50, y: 4 }, false);
  assert.ok(made);
  assert.equal(made.gesture, "Share an index");
  assert.equal(after(document, made.commands), "ij,jk,lj->ikl");
  assert.deepEqual(applyAll(document, made.commands).anchors, { j: [50, 4] });
});

test("an end dropped on a bond joins it and leaves the bond summed", () => {
  const document = rowOf("ij,jk,l->ikl");
  const made = resolveDrop(document, { kind: "leg", index: "l", open: true }, { kind: "bond", index: "j", at: { x: 0, y: 0 } }, { x: 50, y: 4 }, false);
  assert.ok(made);
  assert.equal(after(document, made.commands), "ij,jk,j->ik");
});

test("end to end joins two open legs in a bond", () => {
  const document = rowOf("ij,kl->ijkl", { j: 3, k: 3 });
  assert.equal(after(document, join(document, "k", "j", null, true).commands), "ik,kl->il");
});

test("ends of different dimensions do not join, and the sentence says why", () => {
  const document = rowOf("ij,kl->ijkl", { j: 3, k: 7 });
  assert.throws(() => join(document, "k", "j", null, true), { code: "dimension-mismatch", message: "Index 'k' has dimension 7, but 'j' has 3. Make them equal first." });
});

test("a leg dropped on its own tensor means nothing", () => {
  const document = rowOf("ij->ij");
  assert.equal(resolveDrop(document, { kind: "leg", index: "j", open: true }, { kind: "tensor", id: "t1", zone: "body" }, { x: 0, y: 0 }, false), null);
});

test("an end dropped on the paper moves there, with Shift a tensor takes it", () => {
  const document = rowOf("ij->ij");
  const source = { kind: "leg", index: "j", open: true } as const;
  const moved = resolveDrop(document, source, null, { x: 70.2, y: 9.9 }, false);
  assert.ok(moved);
  assert.deepEqual(applyAll(document, moved.commands).anchors, { j: [70, 10] });
  const capped = resolveDrop(document, source, null, { x: 70, y: 10 }, true);
  assert.ok(capped);
  assert.equal(after(document, capped.commands), "ij,j->i");
  assert.equal(after(document, capLeg(document, "i", { x: 0, y: 0 }).commands), "ij,i->j");
});

test("a matrix on a bond divides it; on an open leg it lengthens the leg", () => {
  const document = rowOf("ij,jk->ik", { j: 6 });
  const { commands } = insertOnBond(document, "j", { x: 50, y: 0 }, "diamond");
  assert.equal(after(document, commands), "ij,lk,jl->ik");
  assert.equal(applyAll(document, commands).dimensions.l, 6);
  assert.equal(after(document, insertOnBond(document, "k", { x: 0, y: 0 }, "diamond").commands), "ij,jk,kl->il");
});

test("a tensor with given values keeps its axes", () => {
  const document = rowOf("ij->ij");
  const fixed: DocumentJson = { ...document, tensors: document.tensors.map((tensor) => ({ ...tensor, array: { kind: "gate", name: "h", parameters: [], conjugate: false } })) };
  assert.throws(() => pullLeg(fixed, "t1", null), { code: "fixed-axes", message: "A holds given values with 2 axes; give it random values before changing them." });
});

test("opening and summing an index are each other's inverse", () => {
  const document = rowOf("ij,jk->ik");
  assert.equal(after(document, toggleOutput(document, "j").commands), "ij,jk->ikj");
  assert.equal(after(document, toggleOutput(document, "i").commands), "ij,jk->k");
});

const removed = (text: string, tensors: string[], indices: string[]): string => {
  const document = rowOf(text);
  return after(document, removal(document, drawScene(document), new Set(tensors), new Set(indices)));
};

test("what was shared with a deleted tensor becomes open", () => {
  assert.equal(removed("ij,jk,kl->il", ["t2"], []), "ij,kl->iljk");
});

test("a hyperindex keeps its bond when one of three tensors goes", () => {
  assert.equal(removed("i,i,i->", ["t3"], []), "i,i->");
});

test("a deleted bond is cut in two open legs, a deleted open leg leaves its tensor", () => {
  assert.equal(removed("ij,jk->ik", [], ["j"]), "ij,lk->ikjl");
  assert.equal(removed("ij,jk->ik", [], ["i"]), "j,jk->k");
});

test("a loop is cut in two legs of its tensor", () => {
  assert.equal(removed("iij->j", [], ["i"]), "ikj->jik");
});

test("cut ends stay where the bond was", () => {
  const document = rowOf("i,i->");
  const changed = applyAll(document, removal(document, drawScene(document), new Set(), new Set(["i"])));
  assert.deepEqual(changed.anchors, { i: [42, 0], j: [58, 0] });
});
