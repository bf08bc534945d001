/** The start that always works: Pyodide's core, then compiled archives, then imports. */

import { unpack } from "./archive.ts";
import type { LinkedModule } from "./dynamicLibraries.ts";
import type { Fetched, Status } from "./fetching.ts";
import type { BuildRecord } from "./messages.ts";
import type { Pyodide } from "./pyodide.d.ts";

export const SITE_PACKAGES = "/lib/python3.14/site-packages";

/** Options of `loadPyodide` shared by every start; addresses must be absolute (pyodide 314). */
export function pyodideOptions(base: string, build: BuildRecord): Record<string, unknown> {
  const home = new URL(`${build.python}pyodide/`, base).href;
  return {
    indexURL: home,
    lockFileURL: new URL("pyodide-lock.json", home).href,
    stdLibURL: new URL("python_stdlib.zip", home).href,
    env: { HOME: "/home/pyodide", PANEL_CDN_ROOT: "./panel/", BOKEH_VALIDATE: "none" },
  };
}

/** Pyodide's two modules: the one that starts and the one that Emscripten made. */
export interface Core {
  loadPyodide(options: object): Promise<Pyodide>;
  createPyodideModule(settings: object): Promise<LinkedModule>;
}

/** The small module at once; `loadPyodide` then fetches the rest while the large one is parsed. */
export async function importCore(base: string, build: BuildRecord): Promise<Core> {
  const address = (name: string) => new URL(`${build.python}pyodide/${name}`, base).href;
  const large = import(address("pyodide.asm.mjs")) as Promise<{ default: Core["createPyodideModule"] }>;
  large.catch(() => undefined);
  const small = (await import(address("pyodide.mjs"))) as Pick<Core, "loadPyodide">;
  return { loadPyodide: small.loadPyodide, createPyodideModule: async (settings) => (await large).default(settings) };
}

export async function startFromArchives(base: string, build: BuildRecord, fetched: Fetched, status: Status): Promise<Pyodide> {
  const core = await importCore(base, build);
  const pyodide = await core.loadPyodide({ ...pyodideOptions(base, build), createPyodideModule: core.createPyodideModule });
  performance.mark("core started");
  // The core may be up before the rest has come; until then the line goes on counting bytes.
  const archives = await Promise.all(fetched.values());
  status("Unpacking", 0.6);
  for (const data of archives) unpack(pyodide.FS, data, SITE_PACKAGES);
  performance.mark("files unpacked");
  status("Importing the workbench", 0.7);
  pyodide.runPython("import importlib; importlib.invalidate_caches(); import tensorloom.view.static as static; static.build()");
  performance.mark("workbench imported");
  status("Linking", 0.95);
  return pyodide;
}
