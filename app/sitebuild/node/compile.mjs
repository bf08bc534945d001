/**
 * Compiles archives of .py into archives of .pyc, by the Pyodide that will load them, under Node.
 * Usage: node compile.mjs PYODIDE-FOLDER RAW-FOLDER OUT-FOLDER
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [core, raw, out] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(join(core, "pyodide.mjs")).href);
const pyodide = await loadPyodide({ indexURL: `${core}/`, lockFileURL: join(core, "pyodide-lock.json") });

const COMPILE = `
import importlib._bootstrap_external as bootstrap, importlib.util, io, zipfile

def compiled(source_path, target_path):
    out = zipfile.ZipFile(target_path, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
    with zipfile.ZipFile(source_path) as archive, out:
        for name in archive.namelist():
            data = archive.read(name)
            if name.endswith(".py"):
                try:
                    code = compile(data, name, "exec", dont_inherit=True, optimize=0)
                except SyntaxError:
                    continue
                data = bootstrap._code_to_hash_pyc(code, importlib.util.source_hash(data), False)
                name += "c"
            # A fixed date: the same input gives the same bytes.
            out.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
`;
pyodide.runPython(COMPILE);
for (const name of readdirSync(raw)) {
  pyodide.FS.writeFile("/in.zip", new Uint8Array(readFileSync(join(raw, name))));
  pyodide.runPython('compiled("/in.zip", "/out.zip")');
  writeFileSync(join(out, name), pyodide.FS.readFile("/out.zip"));
}
