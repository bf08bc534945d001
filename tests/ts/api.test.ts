import assert from "node:assert/strict";
import { test } from "node:test";
import type { EditorStore } from "../../app/tensorloom/view/editor/store.ts";
import { type CallOptions, createApi, type RunNews } from "../../app/tensorloom/view/page/api.ts";

const RESULT = { shape: [2], dtype: "float64", backend: "wasm", ms: 1 };
const NEWS = JSON.stringify({ state: "running", fraction: 0.5, etaMs: 3, message: "Contracting" });

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
