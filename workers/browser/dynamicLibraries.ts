/**
 * What a heap snapshot lacks: the code of dynamic libraries and the table of functions.
 *
 * While the snapshot is made, every library and every function put into the table is recorded with
 * its place; on restoring, the same libraries are loaded to the same places, after which the heap
 * image fits. The hooks are called from Pyodide's module, patched by `sitebuild/snapshot.py`.
 */

import type { EmscriptenModule } from "./pyodide.d.ts";

/** A library as it was loaded: where its data and its functions lie. */
export interface LoadedLibrary {
  path: string;
  handle: number;
  memoryBase: number;
  tableBase: number;
}

/** A function in the table: its slot, the library that exports it, its name there. */
export type TableEntry = [slot: number, library: string, name: string];

export interface Recording {
  libraries: LoadedLibrary[];
  functions: TableEntry[];
  tableLength: number;
}

export interface Hooks {
  /** Where the next library's data must lie; not set while recording. */
  memoryBase?: number;
  library(path: string, handle: number, memoryBase: number, tableBase: number): void;
  added(slot: number, callee: Callee): void;
}

type Callee = ((...args: never[]) => unknown) & { sig?: string };
type Exports = Record<string, Callee | undefined>;

/** The parts of Emscripten's module that dynamic linking needs. */
export interface LinkedModule extends EmscriptenModule {
  LDSO: { loadedLibsByName: Record<string, { exports: Exports }> };
  wasmTable: WebAssembly.Table;
  freeTableIndexes: number[];
  addFunction(callee: Callee, signature?: string): number;
  growMemory(bytes: number): 1 | undefined;
  loadDynamicLibrary(path: string, flags: object, scope: object, handle: number): void;
  HEAPU8: Uint8Array;
  FS: { writeFile(path: string, data: Uint8Array): void; readFile(path: string): Uint8Array; mkdirTree(path: string): void };
  snapshotHooks?: Hooks;
}

/** Hooks that record, what to call before Python runs, and the recording. */
export function recorder(): { hooks: Hooks; begin(module: LinkedModule): void; finish(module: LinkedModule): Recording } {
  const libraries: LoadedLibrary[] = [];
  const slots = new Map<number, Callee>();
  return {
    hooks: {
      library: (path, handle, memoryBase, tableBase) => libraries.push({ path, handle, memoryBase, tableBase }),
      added: (slot, callee) => slots.set(slot, callee),
    },
    // Before Python runs the table is the same in every start, so what is in it needs no record.
    begin: () => slots.clear(),
    finish: (module) => ({ libraries, functions: named(module, slots), tableLength: module.wasmTable.length }),
  };
}

/** Each function by the library and the name under which it can be found again. */
function named(module: LinkedModule, slots: Map<number, Callee>): TableEntry[] {
  const places = new Map<Callee, [string, string]>();
  for (const [library, { exports }] of Object.entries(module.LDSO.loadedLibsByName)) {
    for (const [name, callee] of Object.entries(exports)) if (typeof callee === "function" && !places.has(callee)) places.set(callee, [library, name]);
  }
  return [...slots].map(([slot, callee]) => {
    const place = places.get(callee);
    if (!place) throw new Error(`The function in slot ${slot} of the table is exported by no library.`);
    return [slot, ...place] as TableEntry;
  });
}

/** Loads the recorded libraries to their places, in order; throws where something does not fit. */
export function replay(module: LinkedModule, recording: Recording, files: ReadonlyMap<string, Uint8Array>): void {
  const functions = new Map(recording.functions.map(([slot, library, name]) => [slot, { library, name }]));
  const calleeAt = (slot: number) => {
    const wanted = functions.get(slot);
    return wanted && module.LDSO.loadedLibsByName[wanted.library]?.exports[wanted.name];
  };
  const given = new Map<number, Callee>();
  const hooks: Hooks = { library: () => undefined, added: (slot, callee) => given.set(slot, callee) };
  module.snapshotHooks = hooks;
  /** Makes the table as long as it was, with what was in it and can be found by now. */
  const fillTo = (length: number) => {
    while (module.wasmTable.length < length) {
      const slot = module.wasmTable.grow(1);
      module.freeTableIndexes.push(slot);
      const callee = calleeAt(slot);
      // Otherwise it was free at that time, and used again once a later library was there.
      if (callee) module.addFunction(callee, callee.sig);
    }
  };
  for (const library of recording.libraries) {
    const data = files.get(library.path);
    if (!data) throw new Error(`The archive lacks ${library.path}.`);
    fillTo(library.tableBase);
    if (module.wasmTable.length !== library.tableBase) throw new Error(`${library.path} would start at slot ${module.wasmTable.length}, not ${library.tableBase}.`);
    module.FS.mkdirTree(library.path.slice(0, library.path.lastIndexOf("/")));
    module.FS.writeFile(library.path, data);
    hooks.memoryBase = library.memoryBase;
    module.loadDynamicLibrary(library.path, { global: false, nodelete: true, loadAsync: false }, {}, library.handle);
    delete hooks.memoryBase;
  }
  fillTo(recording.tableLength);
  for (const slot of module.freeTableIndexes.splice(0).sort((one, other) => other - one)) {
    module.freeTableIndexes.push(slot);
    const callee = calleeAt(slot);
    if (callee) module.addFunction(callee, callee.sig);
  }
  for (const [slot, callee] of given) {
    if (callee !== calleeAt(slot)) throw new Error(`Slot ${slot} of the table holds another function than ${functions.get(slot)?.name ?? "none"}.`);
  }
  for (const [slot, { name }] of functions) if (!given.has(slot)) throw new Error(`Slot ${slot} of the table should hold ${name}.`);
  delete module.snapshotHooks;
}
