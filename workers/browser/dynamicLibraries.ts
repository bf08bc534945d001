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

/** A function put into the table: its slot, the library that exports it, its name there. */
export interface TableEntry {
  slot: number;
  library: string;
  name: string;
}

export interface Recording {
  /** What was loaded and what was put into the table, in that order. */
  events: (LoadedLibrary | TableEntry)[];
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
export function recorder(): { hooks: Hooks; begin(): void; finish(module: LinkedModule): Recording } {
  const events: (LoadedLibrary | { slot: number; callee: Callee })[] = [];
  return {
    hooks: {
      library: (path, handle, memoryBase, tableBase) => void events.push({ path, handle, memoryBase, tableBase }),
      added: (slot, callee) => void events.push({ slot, callee }),
    },
    // Before Python runs the table is the same in every start, so what is in it needs no record.
    begin: () => void events.splice(0),
    finish(module) {
      const places = placesOf(module);
      const named = events.map((event) => {
        if (isLibrary(event)) return event;
        const place = places.get(event.callee);
        if (!place) throw new Error(`The function in slot ${event.slot} of the table is exported by no library.`);
        return { slot: event.slot, ...place };
      });
      return { events: named, tableLength: module.wasmTable.length };
    },
  };
}

/** A function of its own: WebKit 2.50 cannot parse `in` where minifying may put it, in an arrow function in the head of a `for`. */
function isLibrary(event: object): event is LoadedLibrary {
  return "path" in event;
}

/** Each exported function by the library and the name under which it can be found again. */
function placesOf(module: LinkedModule): Map<Callee, { library: string; name: string }> {
  const places = new Map<Callee, { library: string; name: string }>();
  for (const [library, { exports }] of Object.entries(module.LDSO.loadedLibsByName)) {
    for (const [name, callee] of Object.entries(exports)) if (typeof callee === "function" && !places.has(callee)) places.set(callee, { library, name });
  }
  return places;
}

/** Loads the recorded libraries to their places, in order; throws where something does not fit. */
export function replay(module: LinkedModule, recording: Recording, files: ReadonlyMap<string, Uint8Array>): void {
  const { events, tableLength } = recording;
  const given = new Map<number, Callee>();
  const hooks: Hooks = { library: () => undefined, added: (slot, callee) => void given.set(slot, callee) };
  const calleeOf = (entry: TableEntry) => module.LDSO.loadedLibsByName[entry.library]?.exports[entry.name];
  const growTo = (length: number) => {
    if (module.wasmTable.length < length) module.wasmTable.grow(length - module.wasmTable.length);
  };
  /** Slots are used again after they were freed; only their last function is there in the end. */
  const lasting = new Map(events.flatMap((event, order) => (isLibrary(event) ? [] : [[event.slot, order]])));
  let next = 0;
  module.snapshotHooks = hooks;
  // Whoever asks for a free slot, a library being loaded or this loop, gets the one that was recorded.
  module.freeTableIndexes.splice(0, Infinity, -1);
  module.freeTableIndexes.pop = () => {
    const event = events[next];
    if (!event || isLibrary(event)) throw new Error("A function needs a slot of the table that was not recorded.");
    next += 1;
    growTo(event.slot + 1);
    return event.slot;
  };
  while (next < events.length) {
    const event = events[next] as LoadedLibrary | TableEntry;
    if (isLibrary(event)) {
      next += 1;
      growTo(event.tableBase);
      load(module, hooks, event, files);
    } else if (lasting.get(event.slot) !== next) next += 1;
    else {
      const callee = calleeOf(event);
      if (!callee) throw new Error(`${event.library} has no function ${event.name}.`);
      const slot = module.addFunction(callee, callee.sig);
      if (slot !== event.slot) throw new Error(`${event.name} is in slot ${slot} of the table, not ${event.slot}.`);
    }
  }
  for (const [slot, order] of lasting) {
    const entry = events[order] as TableEntry;
    if (given.get(slot) !== calleeOf(entry)) throw new Error(`Slot ${slot} of the table holds another function than ${entry.name}.`);
  }
  growTo(tableLength);
  delete (module.freeTableIndexes as { pop?: unknown }).pop;
  module.freeTableIndexes.length = 0;
  delete module.snapshotHooks;
}

function load(module: LinkedModule, hooks: Hooks, library: LoadedLibrary, files: ReadonlyMap<string, Uint8Array>): void {
  const { path, handle, memoryBase, tableBase } = library;
  const data = files.get(path);
  if (!data) throw new Error(`The archive lacks ${path}.`);
  if (module.wasmTable.length !== tableBase) throw new Error(`${path} would start at slot ${module.wasmTable.length} of the table, not ${tableBase}.`);
  module.FS.mkdirTree(path.slice(0, path.lastIndexOf("/")));
  module.FS.writeFile(path, data);
  hooks.memoryBase = memoryBase;
  module.loadDynamicLibrary(path, { global: false, nodelete: true, loadAsync: false }, {}, handle);
  delete hooks.memoryBase;
}
