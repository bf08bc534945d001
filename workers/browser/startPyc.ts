/** The start that always works: Pyodide's core, then compiled archives, then imports. */

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

export async function loadPyodideModule(base: string, build: BuildRecord): Promise<(options: object) => Promise<Pyodide>> {
  const address = new URL(`${build.python}pyodide/pyodide.mjs`, base).href;
  const module = (await import(/* webpackIgnore: true */ address)) as { loadPyodide: (options: object) => Promise<Pyodide> };
  return module.loadPyodide;
}

export async function startFromArchives(base: string, build: BuildRecord, fetched: Fetched, status: Status): Promise<Pyodide> {
  const loadPyodide = await loadPyodideModule(base, build);
  const pyodide = await loadPyodide(pyodideOptions(base, build));
  for (const [name, data] of fetched) {
    const bytes = await data;
    status(`Unpacking ${name.replace(".zip", "")}`, 0.6);
    pyodide.unpackArchive(bytes, "zip", { extractDir: SITE_PACKAGES });
  }
  status("Importing the workbench", 0.7);
  pyodide.runPython("import tensorloom.view.static as static; static.build()");
  status("Linking", 0.95);
  return pyodide;
}
