/**
 * Runs the path search in Pyodide under Node, as the page's search worker does.
 * Usage: node trees.mjs REQUESTS CORE-FOLDER ARCHIVE...
 * REQUESTS is a file with a JSON list of search requests; each answer is one JSON line
 * {importMs, quickMs, lines}.
 */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";

const [requests, core, ...archives] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(join(core, "pyodide.mjs")).href);
const pyodide = await loadPyodide({
  indexURL: `${core}/`,
  lockFileURL: join(core, "pyodide-lock.json"),
  stdLibURL: join(core, "python_stdlib.zip"),
});
for (const path of archives) {
  const format = basename(path).endsWith(".whl") ? "wheel" : "zip";
  pyodide.unpackArchive(new Uint8Array(readFileSync(path)), format, { extractDir: "/lib/python3.14/site-packages" });
}
const begin = performance.now();
const search = pyodide.pyimport("tensorloom.plan.search");
const importMs = performance.now() - begin;
const quick = pyodide.runPython(`
import json, time
from tensorloom.plan.find import plan_for

def quick_ms(request):
    asked = json.loads(request)
    inputs, output = tuple(map(tuple, asked["inputs"])), tuple(asked["output"])
    dimensions = tuple(asked["dimensions"].items())
    begin = time.perf_counter()
    plan_for(inputs, output, dimensions)
    return (time.perf_counter() - begin) * 1000
quick_ms
`);
for (const request of JSON.parse(readFileSync(requests, "utf8"))) {
  const text = JSON.stringify(request);
  const quickMs = quick(text);
  const lines = [];
  const progress = search.main(text);
  for (let step = progress.next(); !step.done; step = progress.next()) lines.push(JSON.parse(step.value));
  console.log(JSON.stringify({ importMs, quickMs, lines }));
}
