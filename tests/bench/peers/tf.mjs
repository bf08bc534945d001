/** TensorFlow.js, wasm or webgpu. Asked for threads; it may take fewer, and says how many. */
import { contract, trap, ways } from "./harness.mjs";

const OPS = {
  permute: (x, perm) => tf.transpose(x, perm),
  reshape: (x, shape) => tf.reshape(x, shape),
  matmul: (x, y, flipX, flipY) => tf.matMul(x, y, flipX, flipY),
  einsum: (text, x, y) => tf.einsum(text, x, y),
  add: (x, y) => tf.add(x, y),
  sub: (x, y) => tf.sub(x, y),
  keep: (x) => x,
};

function script(src) {
  return new Promise((resolve, reject) => {
    const element = Object.assign(document.createElement("script"), { src, onload: resolve, onerror: reject });
    document.head.append(element);
  });
}

export async function open(backend, threads) {
  const wasm = "/npm/@tensorflow/tfjs-backend-wasm";
  await script("/npm/@tensorflow/tfjs/dist/tf.min.js");
  await script(backend === "webgpu" ? "/npm/@tensorflow/tfjs-backend-webgpu/dist/tf-backend-webgpu.min.js" : `${wasm}/dist/tf-backend-wasm.min.js`);
  if (backend === "wasm") {
    tf.wasm.setWasmPaths(`${wasm}/wasm-out/`);
    tf.wasm.setThreadsCount(threads);
  }
  if (!(await tf.setBackend(backend))) throw new Error(`TensorFlow.js has no ${backend} here`);
  await tf.ready();
  if (backend === "webgpu") trap(tf.backend().device);
  return { threads: backend === "wasm" ? tf.wasm.getThreadsCount() : null, adapt };
}

function adapt(task) {
  if (task.Real === Float64Array) return [];
  const operands = task.inputs.map((parts, index) => parts.map((part) => tf.tensor(part, task.shapes[index], "float32")));
  const device = tf.getBackend() === "webgpu" ? tf.backend() : null;
  let users = 0;
  const runners = [];
  for (const made of task.formulations) {
    for (const way of ways(task.dtype)) {
      users += 1;
      runners.push({
        name: `${made.name}, ${way}`,
        eager: true,
        call: () => tf.tidy(() => contract(OPS, made, operands, way)),
        wait: async () => {
          if (!device) return;
          // Both are needed: an encoder with an open pass cannot be submitted.
          if (device.computePassEncoder ?? device.currentComputePass) device.endComputePassEncoder();
          if (device.commandEncoder ?? device.currentCommandEncoder) device.submitQueue();
          await device.queue.onSubmittedWorkDone();
        },
        read: (result) => Promise.all(result.map((x) => x.data())),
        drop: (result) => tf.dispose(result),
        dispose: () => {
          users -= 1;
          if (users === 0) tf.dispose(operands);
        },
      });
    }
  }
  return runners;
}
