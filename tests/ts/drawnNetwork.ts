/** Small documents for the tests of the canvas. */

import type { DocumentJson } from "../../app/tensorloom/view/editor/protocol.ts";

/** Circles in a row, 100 px apart, joined as the einsum says; every dimension 2 unless given. */
export function rowOf(equation: string, dimensions: Record<string, number> = {}): DocumentJson {
  const [inputs = "", output = ""] = equation.split("->");
  const document: DocumentJson = { tensorloom: 1, title: "", dtype: "float64", tensors: [], dimensions: {}, output: [...output], marks: {}, anchors: {} };
  inputs.split(",").forEach((indices, place) => {
    const id = `t${place + 1}`;
    document.tensors.push({ id, name: "ABCDEFGH"[place] ?? "Z", indices: [...indices], array: { kind: "random", seed: place + 1, distribution: "normal" } });
    document.marks[id] = { x: 100 * place, y: 0, shape: "circle", colour: "blue" };
    for (const index of indices) document.dimensions[index] = dimensions[index] ?? 2;
  });
  return document;
}
