import assert from "node:assert/strict";
import { test } from "node:test";
import { gatesFor } from "../../app/tensorloom/view/editor/chrome/gateTable.ts";
import { freshRecipe, obstacle, readNumber, readNumbers, recipeWords, withGate, writeNumbers } from "../../app/tensorloom/view/editor/chrome/recipes.ts";

test("numbers are read with signs, exponents and imaginary parts", () => {
  assert.deepEqual(readNumber("-1.5e-3"), [-0.0015, 0]);
  assert.deepEqual(readNumber("−2"), [-2, 0]);
  assert.deepEqual(readNumber("1-2i"), [1, -2]);
  assert.deepEqual(readNumber("1e2+.5j"), [100, 0.5]);
  assert.deepEqual(readNumber("i"), [0, 1]);
  assert.deepEqual(readNumber("-i"), [0, -1]);
  assert.deepEqual(readNumber("3+i"), [3, 1]);
  for (const wrong of ["", "x", "1.2.3", "1+2", "i2", "--1", "0x10", "Infinity"]) assert.equal(readNumber(wrong), null, wrong);
});

test("a matrix is read in C order from any brackets", () => {
  assert.deepEqual(readNumbers("[[1, 2], [3, 4]]", [2, 2]), { kind: "inline", values: [1, 2, 3, 4], shape: [2, 2], complex: false });
  assert.deepEqual(readNumbers("1 i", [2]), { kind: "inline", values: [1, 0, 0, 1], shape: [2], complex: true });
});

test("wrong numbers are named", () => {
  assert.equal(readNumbers("1 zwei", [2]), "“zwei” is not a number.");
  assert.equal(readNumbers("1 2 3", [2, 2]), "4 numbers are needed, 3 are here.");
  assert.equal(readNumbers("1e999", [1]), "“1e999” is not a number.");
});

test("what is written is read again", () => {
  const recipe = { kind: "inline" as const, values: [1, -2, 0, 1, 0.5, 0, -3, -0.25], shape: [2, 2], complex: true };
  assert.equal(writeNumbers(recipe), "1-2i 0+1i\n0.5 -3-0.25i");
  assert.deepEqual(readNumbers(writeNumbers(recipe), [2, 2]), recipe);
  assert.equal(writeNumbers({ kind: "inline", values: [7], shape: [], complex: false }), "7");
});

test("a kind is refused where the shape does not allow it", () => {
  assert.equal(obstacle("identity", [2, 3, 6]), "needs two halves of equal size");
  assert.equal(obstacle("identity", [2, 3, 3, 2]), null);
  assert.equal(obstacle("gate", [2, 3]), "needs axes of dimension 2");
  assert.equal(obstacle("gate", [2, 2]), null);
  assert.equal(obstacle("inline", [32, 64]), "at most 1024 numbers");
  assert.equal(obstacle("random", []), null);
});

test("gates fit by their axes", () => {
  assert.deepEqual(gatesFor([2]).map((gate) => gate.name), ["ket0", "ket1", "bra0", "bra1"]);
  assert.ok(gatesFor([2, 2]).some((gate) => gate.name === "rx"));
  assert.deepEqual(gatesFor([2, 3]), []);
});

test("gates are offered with controls in front, those with fewest first", () => {
  assert.ok(gatesFor([2, 2, 2]).every((gate) => gate.qubits === 1 && gate.axes === 2 && gate.controls === 1));
  const four = gatesFor([2, 2, 2, 2]).map(({ qubits, controls }) => [qubits, controls].join(" "));
  assert.deepEqual([...new Set(four)], ["2 0", "1 2"]);
  assert.equal(gatesFor(new Array<number>(15).fill(2)).length, 0);
});

test("a changed gate keeps the angles that it still takes", () => {
  assert.deepEqual(withGate({ kind: "gate", name: "rx", parameters: [0.5], conjugate: true }, { name: "u3", parameters: 3, controls: 0 }), { kind: "gate", name: "u3", parameters: [0.5, 0, 0], conjugate: true });
  assert.deepEqual(withGate({ kind: "gate", name: "u3", parameters: [1, 2, 3], conjugate: false, controls: 1 }, { name: "x", parameters: 0, controls: 0 }), { kind: "gate", name: "x", parameters: [], conjugate: false });
  assert.deepEqual(withGate({ kind: "gate", name: "x", parameters: [], conjugate: false }, { name: "p", parameters: 1, controls: 2 }), { kind: "gate", name: "p", parameters: [0], conjugate: false, controls: 2 });
});

test("new recipes fit their shape", () => {
  assert.deepEqual(freshRecipe("inline", [2, 2], false, 1), { kind: "inline", values: [0, 0, 0, 0], shape: [2, 2], complex: false });
  assert.deepEqual(freshRecipe("random", [3], true, 9), { kind: "random", seed: 9, distribution: "complex-normal" });
  assert.deepEqual(freshRecipe("gate", [2, 2], false, 1), { kind: "gate", name: "id", parameters: [], conjugate: false });
  assert.equal(freshRecipe("gate", [3], false, 1), null);
  assert.equal(freshRecipe("blob", [3], false, 1), null);
});

test("recipes in words", () => {
  assert.equal(recipeWords({ kind: "random", seed: 7, distribution: "complex-normal" }), "seed 7, complex normal");
  assert.equal(recipeWords({ kind: "gate", name: "rx", parameters: [Math.PI / 2], conjugate: true }), "rx(1.5708)*");
  assert.equal(recipeWords({ kind: "gate", name: "x", parameters: [], conjugate: false, controls: 1 }), "x with 1 control");
  assert.equal(recipeWords({ kind: "gate", name: "p", parameters: [0.5], conjugate: false, controls: 2 }), "p(0.5) with 2 controls");
  assert.equal(recipeWords({ kind: "inline", values: [1, 2, 3, 4], shape: [2], complex: true }), "2 typed");
  assert.equal(recipeWords({ kind: "blob", hash: "", shape: [3, 4], dtype: "float64" }), "3 × 4 from a file");
});
