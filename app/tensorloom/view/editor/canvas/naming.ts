/**
 * Names for what a gesture makes: the next free id, letter or index name. Pure and deterministic.
 */

import type { DocumentJson, MarkShape } from "../protocol.ts";

const TENSOR_LETTERS = "ABCDEFGHKLMNPQRSTUVWXYZ";
const INDEX_LETTERS = "ijklmnpqrstuvwxyzabcdefgh";

/** The next id `t<number>`: one more than the largest in use, so ids of deleted tensors rest. */
export function nextTensorId(document: DocumentJson, besides: readonly string[] = []): string {
  let largest = 0;
  for (const id of [...Object.keys(document.marks), ...besides]) {
    const number = /^t(\d{1,9})$/.exec(id)?.[1];
    if (number !== undefined) largest = Math.max(largest, Number(number));
  }
  return `t${largest + 1}`;
}

/** The first free letter for a tensor, then letters with numbers: A ... Z, A_1 ... */
export function nextTensorName(document: DocumentJson, besides: readonly string[] = []): string {
  const used = new Set([...document.tensors.map((tensor) => tensor.name), ...besides]);
  return firstFree(TENSOR_LETTERS, used);
}

/** The first free name for an index: i ... z, a ... h, then i_1 ... */
export function nextIndexName(document: DocumentJson, besides: Iterable<string> = []): string {
  const used = new Set([...Object.keys(document.dimensions), ...besides]);
  return firstFree(INDEX_LETTERS, used);
}

/** A name like `wanted` that nothing has: itself, or its stem with the next free number. */
export function freeIndexName(wanted: string, used: ReadonlySet<string>): string {
  if (!used.has(wanted)) return wanted;
  const stem = wanted.replace(/_?\d+$/, "");
  for (let number = 1; ; number += 1) {
    const name = `${stem}_${number}`;
    if (!used.has(name)) return name;
  }
}

/** A seed that no random tensor of the document has yet. */
export function nextSeed(document: DocumentJson): number {
  return document.tensors.reduce((most, { array }) => (array.kind === "random" ? Math.max(most, array.seed) : most), 0) + 1;
}

/** What a shape of the rail is called in words. */
export const SHAPE_WORDS: Record<MarkShape, string> = {
  circle: "tensor",
  square: "operator",
  "triangle-right": "isometry",
  "triangle-left": "isometry",
  dot: "copy dot",
  diamond: "diagonal",
  none: "vector",
};

function firstFree(letters: string, used: ReadonlySet<string>): string {
  for (const letter of letters) if (!used.has(letter)) return letter;
  for (let number = 1; ; number += 1) {
    for (const letter of letters) {
      const name = `${letter}_${number}`;
      if (!used.has(name)) return name;
    }
  }
}
