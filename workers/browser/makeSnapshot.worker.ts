/**
 * Makes the heap snapshot, at build time, in the browser engine that will restore it.
 *
 * Starts as any visitor's worker does from archives, builds the document, imports what is imported
 * later by hand, and puts the heap image and what belongs to it onto the build's server.
 */

import { unpack } from "./archive.ts";
import { type LinkedModule, recorder } from "./dynamicLibraries.ts";
import { fetchAll } from "./fetching.ts";
import type { BuildRecord } from "./messages.ts";
import { importCore, pyodideOptions, SITE_PACKAGES } from "./startPyc.ts";
import { serialize } from "./snapshotReferences.ts";

/** Everything that will be wanted soon after the start is imported now; what needs the page, or a package of the user's own, is not. */
const WARM = `
import gc, importlib, json, pkgutil, sys
import tensorloom.view.static as static
static.build()
import tensorloom
for found in pkgutil.walk_packages(tensorloom.__path__, "tensorloom."):
    if not found.name.endswith("__main__"):
        try:
            importlib.import_module(found.name)
        except ModuleNotFoundError as missing:
            if missing.name not in ("tensorloom_page", "autograd"):
                raise
import numpy.linalg, numpy.random, opt_einsum
sys.modules.pop("tensorloom.view.bridge", None)
gc.collect()
`;

/** Names of files of site-packages that are in the image already. */
const IN_IMAGE = `
json.dumps([
    module.__file__.removeprefix("${SITE_PACKAGES}/")
    for module in list(sys.modules.values())
    if (getattr(module, "__file__", None) or "").startswith("${SITE_PACKAGES}/")
])
`;

async function put(name: string, body: BodyInit): Promise<void> {
  const answer = await fetch(`../made/${name}`, { method: "PUT", body });
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
}

async function make(base: string, build: BuildRecord): Promise<void> {
  const core = await importCore(base, build);
  const { hooks, begin, finish } = recorder();
  let module: LinkedModule | null = null;
  const fetched = fetchAll(base, build, "pyc", () => undefined);
  const pyodide = await core.loadPyodide({
    ...pyodideOptions(base, build),
    _makeSnapshot: true,
    createPyodideModule: async (settings: object) => {
      const preRun = [...(settings as { preRun: unknown[] }).preRun, begin];
      module = await core.createPyodideModule(Object.assign(settings, { preRun, snapshotHooks: hooks }));
      return module;
    },
  });
  if (!module) throw new Error("Pyodide did not make its module.");
  const linked: LinkedModule = module;
  for (const data of fetched.values()) unpack(pyodide.FS, await data, SITE_PACKAGES);
  pyodide.runPython(WARM);
  const document = pyodide.runPython("json.dumps(static.document_texts())") as string;
  const inImage = pyodide.runPython(IN_IMAGE) as string;
  clearFreeMemory(linked);
  const image = pyodide.makeMemorySnapshot({ serializer: serialize });
  const recording = finish(linked);
  const paths = recording.events.flatMap((event) => ("path" in event ? [event.path] : []));
  for (const [order, path] of paths.entries()) await put(`library-${order}`, linked.FS.readFile(path) as BodyInit);
  await put("document.json", document);
  await put("in-image.json", inImage);
  await put("recording.json", JSON.stringify(recording));
  await put("snapshot.bin", image as BodyInit);
}

/**
 * Sets free memory to zero, so that the image packs well: takes free blocks, largest first, without
 * making the heap grow, clears them and gives all back.
 */
function clearFreeMemory(module: LinkedModule): void {
  const malloc = module._malloc as (size: number) => number;
  const free = module._free as (pointer: number) => void;
  const top = (module._sbrk as (size: number) => number)(0);
  const taken: number[] = [];
  for (let size = 1 << 24; size >= 64; size >>= 1) {
    for (let pointer = malloc(size); pointer !== 0; pointer = malloc(size)) {
      if (pointer + size > top) {
        free(pointer);
        break;
      }
      module.HEAPU8.fill(0, pointer, pointer + size);
      taken.push(pointer);
    }
  }
  for (const pointer of taken) free(pointer);
}

globalThis.onmessage = (event: MessageEvent<{ base: string; build: BuildRecord }>) => {
  make(event.data.base, event.data.build)
    .then(() => put("done", "done"))
    .catch((error: unknown) => put("failed", String(error instanceof Error ? (error.stack ?? error.message) : error)));
};
