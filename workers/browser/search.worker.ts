/**
 * Path search in a second Pyodide of its own: numpy, the path finders and our package, no Panel.
 *
 * Progress goes out as JSON lines after each trial; the Python worker adopts what is better.
 */

import { unpack } from "./archive.ts";
import { fetchOne } from "./fetching.ts";
import { importCore, pyodideOptions, SITE_PACKAGES } from "./startPyc.ts";
import type { BuildRecord } from "./messages.ts";
import type { PyProxy } from "./pyodide.d.ts";

interface SearchRequest {
  base: string;
  build: BuildRecord;
  request: string;
}

const breathe = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

async function search({ base, build, request }: SearchRequest): Promise<void> {
  const files = ["numpy.bin.gz", "search.bin.gz", "tensorloom.bin.gz"].map((name) => fetchOne(new URL(`${build.python}${name}`, base)));
  const core = await importCore(base, build);
  const pyodide = await core.loadPyodide({ ...pyodideOptions(base, build), createPyodideModule: core.createPyodideModule });
  for (const file of await Promise.all(files)) unpack(pyodide.FS, file, SITE_PACKAGES);
  pyodide.runPython("import importlib; importlib.invalidate_caches()");
  const module = pyodide.pyimport("tensorloom.plan.search");
  const progress = (module.main as unknown as PyProxy)(request) as unknown as { next(): { done: boolean; value: string } };
  for (let step = progress.next(); !step.done; step = progress.next()) {
    postMessage(step.value);
    await breathe();
  }
  postMessage(JSON.stringify({ finished: true }));
}

globalThis.onmessage = (event: MessageEvent<SearchRequest>) => {
  search(event.data).catch((error: unknown) => postMessage(JSON.stringify({ error: String(error).slice(-300) })));
};
