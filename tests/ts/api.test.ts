import assert from "node:assert/strict";
import { test } from "node:test";
import type { EditorStore } from "../../app/tensorloom/view/editor/store.ts";
import { type CallOptions, createApi, type RunNews, type TensorloomApi } from "../../app/tensorloom/view/page/api.ts";

const RESULT = { shape: [2], dtype: "float64", backend: "wasm", ms: 1 };
const NEWS = JSON.stringify({ state: "running", fraction: 0.5, etaMs: 3, message: "Contracting" });

const MATRIX = { shape: [1], data: [1] };

/** A workbench that is there, and a Python that does what it is told with each call. */
function api(call: (options: CallOptions) => Promise<void>) {
  const store = { settled: async () => undefined, get: () => ({ ready: true }) } as unknown as EditorStore;
  const python = {
    ready: Promise.resolve(),
    async call(_method: string, _args: unknown, _buffers: ArrayBuffer[] = [], options: CallOptions = {}) {
      await call(options);
      return { text: JSON.stringify(RESULT), buffers: [Float64Array.of(1, 2).buffer as ArrayBuffer] };
    },
  };
  return createApi(python, () => store, () => Promise.reject(new Error("no worker here")));
}

test("a run tells how far it is, and at last that it is done", async () => {
  const heard: RunNews[] = [];
  const onProgress = (news: RunNews) => heard.push(news);
  const { value } = await api(async ({ tell }) => tell?.(NEWS)).run({ onProgress });
  assert.deepEqual([...value], [1, 2]);
  assert.deepEqual(heard.map(({ state, fraction }) => [state, fraction]), [["running", 0.5], ["done", 1]]);
});

test("who has given a run up hears no more of it, though it goes on for a while", async () => {
  const controller = new AbortController();
  const heard: RunNews[] = [];
  const onProgress = (news: RunNews) => heard.push(news);
  let ended = false;
  const running = api(async ({ signal, tell }) => {
    assert.equal(signal, controller.signal);
    tell?.(NEWS);
    controller.abort();
    tell?.(NEWS);
    ended = true;
  }).run({ onProgress, signal: controller.signal });
  await assert.rejects(running, { code: "cancelled" });
  assert.ok(ended);
  assert.equal(heard.length, 1);
});

for (const [title, code, message, ask] of [
  ["no options", "bad-option", "The options are null.", (made) => made.run(null as never)],
  ["a number for a signal", "bad-option", "signal is 5.", (made) => made.run({ signal: 5 as never })],
  ["text for onProgress", "bad-option", "onProgress is loud.", (made) => made.run({ onProgress: "loud" as never })],
  ["a BigInt", "bad-option", "An option is or holds a BigInt, or holds itself.", (made) => made.run({ dtype: 1n as never })],
  ["nothing to open", "bad-option", "The options are undefined.", (made) => made.open(undefined as never)],
  ["sizes that are BigInts", "bad-option", "An option is or holds a BigInt, or holds itself.", (made) => made.open({ text: "i->", sizes: { i: 2n as never } })],
  ["one array alone", "wrong-arrays", "The arrays are no list.", (made) => made.open({ text: "i->", arrays: MATRIX as never })],
  ["no array", "bad-array", "Array 0 is null.", (made) => made.open({ text: "i->", arrays: [null as never] })],
  ["BigInts", "not-numbers", "Array 1 holds something that is not a number.", (made) => made.open({ text: "i,i->", arrays: [MATRIX, { shape: [1], data: BigInt64Array.of(1n) as never }] })],
  ["no data", "not-numbers", "Array 0 holds something that is not a number.", (made) => made.open({ text: "i->", arrays: [{ shape: [1] } as never] })],
  ["no equation", "not-an-equation", "The equation is undefined.", (made) => (made.bench as () => Promise<never>)()],
  ["no shapes", "bad-array", "The shapes are no list.", (made) => made.bench("i->", undefined as never)],
  ["no options for bench", "bad-option", "The options are null.", (made) => made.bench("i->", [[2]], "float32", null as never)],
  ["one input alone", "bad-option", "The inputs are no list.", (made) => made.bench("i->", [[2]], "float32", { inputs: "a" as never })],
] as [string, string, string, (made: TensorloomApi) => Promise<unknown>][]) {
  test(`${title} is refused by code`, async () => {
    const refused = (await ask(api(async () => undefined)).catch((error: unknown) => error)) as { code: string; hint: string; message: string };
    assert.deepEqual([refused.code, refused.message], [code, message]);
    assert.notEqual(refused.hint, "");
  });
}

test("a signal of another frame, which has a class of its own, will do", async () => {
  const signal = { aborted: false, addEventListener: () => undefined, removeEventListener: () => undefined } as unknown as AbortSignal;
  assert.deepEqual([...(await api(async () => undefined).run({ signal })).value], [1, 2]);
});
