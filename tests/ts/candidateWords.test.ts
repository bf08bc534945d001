import assert from "node:assert/strict";
import { test } from "node:test";
import { legend } from "../../app/tensorloom/view/editor/chrome/kernels/candidateWords.ts";

const words = (texts: string[], backend: "wasm" | "webgpu" | "webgpu-f16" | "numpy"): string[] => legend(texts, backend).map(({ word }) => word);

test("every word of a candidate's name is explained once", () => {
  assert.deepEqual(words(["packed 6x8 k256 turned"], "wasm"), ["packed", "6x8", "k256", "turned"]);
  assert.deepEqual(words(["right 6x8", "generic gemm", "right 3x16"], "wasm"), ["right", "generic gemm", "6x8"]);
  assert.deepEqual(words(["dot 2x4"], "wasm"), ["dot", "2x4"]);
  assert.deepEqual(words(["shared 4x4/8x8 k16 split 3"], "webgpu"), ["shared", "4x4", "8x8", "k16", "split 3"]);
  assert.deepEqual(words(["dot 1x4/64"], "webgpu"), ["dot", "1x4", "64"]);
  assert.deepEqual(words(["dot 1x4/64"], "webgpu-f16"), ["dot", "1x4", "64"]);
  assert.deepEqual(words(["line 1x8/64x1"], "webgpu"), ["line", "1x8", "64x1"]);
  assert.deepEqual(words(["small", "numpy"], "webgpu"), ["small"]);
  assert.deepEqual(words(["numpy"], "numpy"), []);
});
