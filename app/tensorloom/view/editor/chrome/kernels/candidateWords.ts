/**
 * The words that name a candidate, explained. Pure; `kernels/{wasm/jit_candidate,gpu/candidate}.py` write them.
 */

import type { KernelShapeJson } from "../../protocol.ts";

type Meaning = readonly [RegExp, string];

const WASM: readonly Meaning[] = [
  [/^unpacked\b/, "both operands are read where they lie"],
  [/^right\b/, "the right operand is copied into panels first"],
  [/^packed\b/, "both operands are copied into panels, block by block"],
  [/^stream\b/, "the right operand is read once, in order"],
  [/^dot\b/, "vectors run along the sum, and are added up in the end"],
  [/^fused\b/, "one function in a module of small steps, which run as one call"],
  [/^generic \w+/, "a kernel for all sizes, until one for these is known"],
  [/\d+x\d+/, "rows × columns of results that are summed in registers at a time"],
  [/\bk\d+/, "summed positions per block"],
  [/\bturned\b/, "left and right change places"],
];

const WEBGPU: readonly Meaning[] = [
  [/^registers\b/, "each thread sums a tile of results in registers"],
  [/^lanes\b/, "subgroups work alone and hand rows from thread to thread"],
  [/^shared\b/, "operands are staged in a workgroup’s memory"],
  [/^dot\b/, "the threads of a workgroup share each sum"],
  [/^outer\b/, "the sum is short and written out without a loop"],
  [/^line\b/, "each thread sums neighbouring results; their numbers are read once each"],
  [/^matrix\b/, "subgroups multiply whole blocks by one instruction"],
  [/^small\b/, "one text for all tiny kernels"],
  [/(?<= )\d+x\d+/, "rows × columns of a tile of results"],
  [/(?<=\/)\d+(?:x\d+)?/, "threads of a workgroup, along columns and rows"],
  [/\bk\d+/, "products staged at a time"],
  [/\bsplit \d+/, "parts of the sum, added up afterwards"],
];

const MEANINGS: Readonly<Record<KernelShapeJson["backend"], readonly Meaning[]>> = { wasm: WASM, webgpu: WEBGPU, "webgpu-f16": WEBGPU, numpy: [] };

/** Each kind of word that stands in the names, as it stands first, with its meaning. */
export function legend(texts: readonly string[], backend: KernelShapeJson["backend"]): { word: string; means: string }[] {
  return MEANINGS[backend].flatMap(([pattern, means]) => {
    const word = texts.map((text) => pattern.exec(text)?.[0]).find((found) => found !== undefined);
    return word === undefined ? [] : [{ word, means }];
  });
}
