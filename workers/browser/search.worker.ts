/**
 * Path search in a second Pyodide of its own: numpy and the planner only, no Panel.
 *
 * Progress goes out as JSON lines after each trial; the Python worker adopts what is better.
 */

import { loadPyodideModule, pyodideOptions, SITE_PACKAGES } from "./startPyc.ts";
import type { BuildRecord } from "./messages.ts";
import type { PyProxy } from "./pyodide.d.ts";

interface SearchRequest {
  base: string;
  build: BuildRecord;
  request: string;
}

const breathe = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

async function search({ base, build, request }: SearchRequest): Promise<void> {
  const files = ["numpy.zip", "search.zip"].map(async (name) => (await fetch(new URL(`${build.python}${name}`, base))).arrayBuffer());
  const loadPyodide = await loadPyodideModule(base, build);
  const pyodide = await loadPyodide(pyodideOptions(base, build));
  for (const file of await Promise.all(files)) pyodide.unpackArchive(file, "zip", { extractDir: SITE_PACKAGES });
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
