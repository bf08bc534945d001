/** ONNX Runtime Web: the driver writes one model per formulation; sessions with default options. */

import { trap } from "./harness.mjs";

const DIST = "/npm/onnxruntime-web/dist";

const trapping = new Set();

export async function open(backend, threads) {
  const ort = await import(`${DIST}/${backend === "webgpu" ? "ort.webgpu" : "ort.wasm"}.bundle.min.mjs`);
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = `${DIST}/`;
  ort.env.logLevel = "error";
  return { threads: backend === "wasm" ? threads : null, adapt: (task) => adapt(ort, backend, task) };
}

async function adapt(ort, backend, task) {
  const gpu = backend === "webgpu";
  if (gpu && task.Real === Float64Array) return [];
  const type = task.Real === Float64Array ? "float64" : "float32";
  const names = task.inputs.flatMap((parts, side) => parts.map((_, part) => `${"ab"[side]}${part}`));
  const made = [];
  for (const { name, url } of task.models) made.push(runner(ort, gpu, task, type, names, name, url));
  return made;
}

function runner(ort, gpu, task, type, names, name, url) {
  let session = null;
  let feeds = null;
  const buffers = [];
  const outputs = task.expect.map((_, part) => `c${part}`);
  async function begin() {
    const bytes = new Uint8Array(await (await fetch(url, { cache: "no-store" })).arrayBuffer());
    session = await ort.InferenceSession.create(bytes, {
      executionProviders: [gpu ? "webgpu" : "wasm"],
      graphOptimizationLevel: "all",
      ...(gpu ? { preferredOutputLocation: "gpu-buffer" } : {}),
    });
    const device = gpu ? await ort.env.webgpu.device : null;
    if (device && !trapping.has(device)) {
      trapping.add(device);
      trap(device);
    }
    const parts = task.inputs.flatMap((planes, side) => planes.map((plane) => [plane, task.shapes[side]]));
    feeds = Object.fromEntries(
      parts.map(([plane, dims], index) => {
        if (!gpu) return [names[index], new ort.Tensor(type, plane, dims)];
        const size = Math.max(16, Math.ceil(plane.byteLength / 16) * 16);
        const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
        const buffer = device.createBuffer({ size, usage });
        device.queue.writeBuffer(buffer, 0, plane);
        buffers.push(buffer);
        return [names[index], ort.Tensor.fromGpuBuffer(buffer, { dataType: type, dims })];
      }),
    );
  }
  return {
    name,
    eager: true,
    call: async () => {
      if (session === null) await begin();
      return session.run(feeds);
    },
    wait: async () => {
      if (gpu) await (await ort.env.webgpu.device).queue.onSubmittedWorkDone();
    },
    read: (result) => Promise.all(outputs.map((output) => result[output].getData())),
    drop: (result) => outputs.forEach((output) => result[output].dispose()),
    dispose: () => {
      session?.release();
      session = null;
      for (const buffer of buffers) buffer.destroy();
    },
  };
}
