/** Pyodide's numpy, or scipy's BLAS there: the same text that measures natively. */

export async function open(backend) {
  const { loadPyodide } = await import("/pyodide/pyodide.mjs");
  const files = await (await fetch("/pyodide/files.json")).json();
  const pyodide = await loadPyodide({ indexURL: "/pyodide/", lockFileURL: "/pyodide/pyodide-lock.json" });
  await pyodide.loadPackage(files.wheels.map((name) => `/pyodide/${name}`), { checkIntegrity: false, messageCallback: () => {} });
  for (const name of ["formulations", "numpy_peer"]) {
    pyodide.FS.writeFile(`/home/pyodide/${name}.py`, await (await fetch(`/python/${name}.py`)).text());
  }
  const peer = pyodide.pyimport("numpy_peer");
  return { threads: 1, adapt: (task) => adapt(peer, backend, task) };
}

async function adapt(peer, backend, task) {
  const raw = await Promise.all(
    task.urls.slice(0, 2).map(async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer())),
  );
  // As text: null would not become None.
  const told = JSON.stringify({ dtype: task.dtype, shapes: task.shapes, formulations: task.formulations });
  const runners = peer.runners(backend, told, raw[0], raw[1]);
  return runners.toJs().map((runner) => ({
    name: runner.name,
    call: () => runner.call(),
    timed: (calls) => runner.timed(calls),
    wait: () => {},
    read: (result) => result.toJs(),
    drop: (result) => result.destroy(),
    dispose: () => runner.destroy(),
  }));
}
