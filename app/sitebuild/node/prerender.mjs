/**
 * Runs the payload under Node and writes the document that the page embeds before Python is there.
 * Usage: node prerender.mjs PAYLOAD-FOLDER TARGET
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [payload, target] = process.argv.slice(2);
const core = join(payload, "pyodide");
// Panel imports this name from JavaScript; Node has none, and nothing calls it while building.
globalThis.XMLHttpRequest ??= class {};
// Python's traceback only: Node would print the megabyte line of Pyodide's source before it.
process.on("uncaughtException", (error) => {
  process.exitCode = 1;
  console.error(error.message);
});
const { loadPyodide } = await import(pathToFileURL(join(core, "pyodide.mjs")).href);
const pyodide = await loadPyodide({
  indexURL: `${core}/`,
  lockFileURL: join(core, "pyodide-lock.json"),
  stdLibURL: join(core, "python_stdlib.zip"),
  env: { HOME: "/home/pyodide", PANEL_CDN_ROOT: "./panel/", BOKEH_VALIDATE: "none" },
});
for (const name of ["numpy.zip", "site.zip", "tensorloom.zip"])
  pyodide.unpackArchive(new Uint8Array(readFileSync(join(payload, "compiled", name))), "zip", { extractDir: "/lib/python3.14/site-packages" });
pyodide.runPython("import tensorloom.view.static as static; static.build()");
const texts = pyodide.runPython("static.document_texts()").toJs();
writeFileSync(target, JSON.stringify(texts));
