/**
 * The quick start: a heap image in which the application is already imported and built.
 *
 * Any step that does not fit throws; the page then starts a fresh worker from archives.
 */

import { filesOf, unpack } from "./archive.ts";
import { type LinkedModule, type Recording, replay } from "./dynamicLibraries.ts";
import type { Fetched, Status } from "./fetching.ts";
import type { BuildRecord } from "./messages.ts";
import type { Pyodide } from "./pyodide.d.ts";
import { deserialize } from "./snapshotReferences.ts";
import { importCore, pyodideOptions, SITE_PACKAGES } from "./startPyc.ts";

/** Random states are part of the image; without this every visitor would draw the same numbers. */
const RESEED = `
import random, sys
random.seed()
if "numpy.random" in sys.modules:
    sys.modules["numpy.random"].seed()
`;

export async function startFromSnapshot(base: string, build: BuildRecord, fetched: Fetched, status: Status): Promise<Pyodide> {
  const file = (name: string) => fetched.get(name) ?? Promise.reject(new Error(`${name} is not fetched`));
  const core = await importCore(base, build);
  performance.mark("core imported");
  const snapshot = file("snapshot.bin.gz").then((data) => new Uint8Array(data));
  const pyodide = await core.loadPyodide({
    ...pyodideOptions(base, build),
    _loadSnapshot: snapshot,
    _snapshotDeserializer: deserialize,
    createPyodideModule: async (settings: object) => {
      const module = await core.createPyodideModule(settings);
      performance.mark("core compiled");
      const [image, libraries] = await Promise.all([snapshot, file("libraries.bin.gz")]);
      status("Restoring Python", 0.7);
      performance.mark("image fetched");
      prepare(module, image.length, filesOf(libraries));
      performance.mark("libraries loaded");
      return module;
    },
  });
  performance.mark("image restored");
  unpack(pyodide.FS, await file("files.bin.gz"), SITE_PACKAGES);
  pyodide.runPython(RESEED);
  performance.mark("files unpacked");
  status("Linking", 0.95);
  return pyodide;
}

/** Makes room for the image and loads the libraries that it refers to. */
function prepare(module: LinkedModule, bytes: number, files: ReadonlyMap<string, Uint8Array>): void {
  if (module.HEAPU8.length < bytes && !module.growMemory(bytes)) throw new Error(`No ${bytes} bytes of memory for Python.`);
  const recording = JSON.parse(new TextDecoder().decode(files.get("recording.json"))) as Recording;
  replay(module, recording, files);
}
