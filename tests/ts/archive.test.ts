import assert from "node:assert/strict";
import { test } from "node:test";
import { filesOf, unpack } from "../../workers/browser/archive.ts";

function archive(entries: [string, number][], bytes: number[]): ArrayBuffer {
  const head = new TextEncoder().encode(JSON.stringify(entries));
  const data = new Uint8Array(4 + head.length + bytes.length);
  new DataView(data.buffer).setUint32(0, head.length, true);
  data.set(head, 4);
  data.set(bytes, 4 + head.length);
  return data.buffer;
}

test("files are views into the archive, in order", () => {
  const data = archive([["a", 2], ["b/empty", 0], ["b/c", 1]], [7, 8, 9]);
  const files = filesOf(data);
  assert.deepEqual([...files.keys()], ["a", "b/empty", "b/c"]);
  assert.deepEqual([...(files.get("a") ?? [])], [7, 8]);
  assert.deepEqual([...(files.get("b/c") ?? [])], [9]);
  assert.equal(files.get("a")?.buffer, data);
});

test("an archive cut short is refused with both lengths", () => {
  const whole = archive([["a", 3]], [1, 2, 3]);
  const cut = whole.slice(0, whole.byteLength - 1);
  assert.throws(() => filesOf(cut), RangeError);
  const long = archive([["a", 2]], [1, 2, 3]);
  assert.throws(() => filesOf(long), new RegExp(`has ${long.byteLength} bytes where ${long.byteLength - 1} belong`));
});

test("folders are made once, before their files", () => {
  const done: string[] = [];
  const fs = { mkdirTree: (path: string) => void done.push(`mkdir ${path}`), writeFile: (path: string) => void done.push(path) };
  unpack(fs, archive([["p/a", 0], ["p/b", 0], ["c", 0]], []), "/site");
  assert.deepEqual(done, ["mkdir /site/p", "/site/p/a", "/site/p/b", "mkdir /site", "/site/c"]);
});
