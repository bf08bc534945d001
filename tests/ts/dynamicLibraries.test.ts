import assert from "node:assert/strict";
import { test } from "node:test";
import { type Hooks, type LinkedModule, recorder, replay } from "../../workers/browser/dynamicLibraries.ts";

type Callee = ((...args: never[]) => unknown) & { sig?: string };

/** A stand-in for Emscripten's linker: its table, its free slots, its memory, two libraries. */
function fakeModule(exportsOf: Record<string, Record<string, Callee>>, runtime: Record<string, Callee>): LinkedModule {
  const table: (Callee | null)[] = [null, null];
  let top = 1000;
  const module = {
    LDSO: { loadedLibsByName: { __main__: { exports: runtime } } as Record<string, { exports: Record<string, Callee> }> },
    wasmTable: {
      get length() {
        return table.length;
      },
      grow: (count: number) => {
        const old = table.length;
        for (let added = 0; added < count; added++) table.push(null);
        return old;
      },
    },
    freeTableIndexes: [] as number[],
    addFunction: (callee: Callee) => {
      const slot = module.freeTableIndexes.pop() ?? module.wasmTable.grow(1);
      table[slot] = callee;
      module.snapshotHooks?.added(slot, callee);
      return slot;
    },
    FS: { writeFile: () => undefined, mkdirTree: () => undefined },
    loadDynamicLibrary: (path: string, _flags: object, _scope: object, handle: number) => {
      const memoryBase = module.snapshotHooks?.memoryBase ?? (top += 16);
      module.snapshotHooks?.library(path, handle, memoryBase, table.length);
      module.wasmTable.grow(2);
      const exports = exportsOf[path] ?? {};
      if (exports.start) module.addFunction(exports.start);
      module.LDSO.loadedLibsByName[path] = { exports };
    },
    table,
    snapshotHooks: undefined as Hooks | undefined,
  };
  return module as unknown as LinkedModule;
}

const libraries = { "/a.so": { start: () => 1, init: () => 2 }, "/b.so": { start: () => 3 } };
const runtime = { trampoline: () => 4, other: () => 5 };

/** A start in which slots are freed and used again, as Python's does. */
function recorded() {
  const module = fakeModule(libraries, runtime);
  const { hooks, begin, finish } = recorder();
  module.snapshotHooks = hooks;
  module.addFunction(() => 6); // before Python runs: the same in every start
  begin();
  const freed = module.addFunction(runtime.other);
  module.addFunction(runtime.trampoline);
  module.loadDynamicLibrary("/a.so", {}, {}, 11);
  module.freeTableIndexes.push(freed);
  module.addFunction(libraries["/a.so"].init); // takes the freed slot, below its own library
  module.loadDynamicLibrary("/b.so", {}, {}, 12);
  return { module, recording: finish(module) };
}

const files = new Map([
  ["/a.so", new Uint8Array()],
  ["/b.so", new Uint8Array()],
]);

test("a recording names every library's place and every function's slot, in order", () => {
  const { recording } = recorded();
  assert.deepEqual(recording.events, [
    { slot: 3, library: "__main__", name: "other" },
    { slot: 4, library: "__main__", name: "trampoline" },
    { path: "/a.so", handle: 11, memoryBase: 1016, tableBase: 5 },
    { slot: 7, library: "/a.so", name: "start" },
    { slot: 3, library: "/a.so", name: "init" },
    { path: "/b.so", handle: 12, memoryBase: 1032, tableBase: 8 },
    { slot: 10, library: "/b.so", name: "start" },
  ]);
  assert.equal(recording.tableLength, 11);
});

/** A fresh start, up to where Python would run. */
function fresh(exportsOf: Record<string, Record<string, Callee>> = libraries): LinkedModule {
  const module = fakeModule(exportsOf, runtime);
  module.addFunction(() => 6);
  return module;
}

test("replaying gives the same table, slots freed and used again included", () => {
  const { module: made, recording } = recorded();
  const module = fresh();
  replay(module, recording, files);
  const tableOf = (one: LinkedModule) => (one as unknown as { table: (Callee | null)[] }).table.slice(3);
  assert.deepEqual(tableOf(module), tableOf(made));
});

test("after replaying, slots are given as ever", () => {
  const { recording } = recorded();
  const module = fresh();
  replay(module, recording, files);
  assert.equal(module.snapshotHooks, undefined);
  assert.equal(module.addFunction(() => 7), 11);
});

test("a table that starts longer than recorded is refused", () => {
  const { recording } = recorded();
  const module = fresh();
  for (let extra = 0; extra < 5; extra++) module.addFunction(() => extra);
  assert.throws(() => replay(module, recording, files), /\/a\.so would start at slot 8 of the table, not 5/);
});

test("a library that puts another function into the table is refused", () => {
  const { recording } = recorded();
  const module = fresh({ ...libraries, "/b.so": { begin: libraries["/b.so"].start, start: () => 8 } });
  const renamed = recording.events.map((event) => ("slot" in event && event.slot === 10 ? { ...event, name: "begin" } : event));
  assert.throws(() => replay(module, { ...recording, events: renamed }, files), /Slot 10 of the table holds another function than begin/);
});

test("a library that asks for more slots than recorded is refused", () => {
  const { recording } = recorded();
  const module = fresh();
  const fewer = recording.events.slice(0, -1);
  assert.throws(() => replay(module, { ...recording, events: fewer }, files), /needs a slot of the table that was not recorded/);
});

test("a function that is not there is named", () => {
  const { recording } = recorded();
  const module = fakeModule(libraries, { other: runtime.other });
  module.addFunction(() => 6);
  assert.throws(() => replay(module, recording, files), /__main__ has no function trampoline/);
});

test("a missing library is named", () => {
  const { recording } = recorded();
  assert.throws(() => replay(fresh(), recording, new Map([["/a.so", new Uint8Array()]])), /The archive lacks \/b\.so/);
});
