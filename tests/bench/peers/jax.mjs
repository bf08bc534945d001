/**
 * jax-js with its own threads. Each formulation in three styles: as it is written, where transposed
 * operands fuse into the product as gathers; with each transposition made a copy first, which its
 * vector kernels need; and under jit.
 */
import * as jax from "/npm/@jax-js/jax/dist/index.js";
import { contract, trap, ways } from "./harness.mjs";

const { numpy } = jax;
const OPS = {
  permute: (x, perm) => numpy.transpose(x, perm),
  reshape: (x, shape) => numpy.reshape(x, shape),
  matmul: (x, y, flipX, flipY) => numpy.matmul(flipX ? flip(x) : x, flipY ? flip(y) : y),
  einsum: (text, x, y) => numpy.einsum(text, x, y),
  add: (x, y) => numpy.add(x, y),
  sub: (x, y) => numpy.subtract(x, y),
  keep: (x) => x.ref,
};

/** The same with copies. The method is private; without it most permuted cases are ten times slower. */
const COPYING = { ...OPS, permute: (x, perm) => copied(numpy.transpose(x, perm)) };

function copied(x) {
  x._realizeSource();
  return x;
}

function flip(x) {
  return numpy.matrixTranspose(x);
}

export async function open(backend) {
  const device = backend === "webgpu" ? "webgpu" : "wasm";
  const ready = await jax.init(device);
  if (!ready.includes(device)) throw new Error(`jax-js has no ${device} here`);
  jax.defaultDevice(device);
  if (device === "webgpu") trap(jax.getWebGPUDevice());
  return { threads: device === "wasm" ? navigator.hardwareConcurrency : null, adapt };
}

function adapt(task) {
  if (task.dtype === "float64" || task.dtype === "complex128") {
    if (jax.defaultDevice() === "webgpu") return [];
  }
  const dtype = task.Real === Float64Array ? numpy.float64 : numpy.float32;
  const operands = task.inputs.map((parts, index) =>
    parts.map((part) => numpy.array(part, { shape: task.shapes[index], dtype })),
  );
  const runners = [];
  let users = 0;
  for (const made of task.formulations) {
    for (const way of ways(task.dtype)) {
      for (const style of ["eager", "copied", "jit"]) {
        const ops = style === "copied" ? COPYING : OPS;
        const plain = (...flat) => contract(ops, made, [flat.slice(0, flat.length / 2), flat.slice(flat.length / 2)], way);
        const owned = (...flat) => {
          // Under jit the arguments belong to the function; contract() takes handles of its own.
          const out = plain(...flat);
          for (const argument of flat) argument.dispose?.();
          return out;
        };
        const compiled = style === "jit" ? jax.jit(owned) : null;
        const flat = operands.flat();
        users += 1;
        runners.push({
          name: `${made.name}, ${way}, ${style}`,
          // A view in another order is no result: everyone's lies in the order asked for.
          call: () => (compiled ? compiled(...flat.map((x) => x.ref)) : plain(...flat)).map(copied),
          wait: (results) => jax.blockUntilReady(results.flat()),
          read: (result) => Promise.all(result.map((x) => x.ref.data())),
          drop: (result) => result.forEach((x) => x.dispose()),
          dispose: () => {
            compiled?.dispose();
            users -= 1;
            if (users === 0) for (const x of flat) x.dispose();
          },
        });
      }
    }
  }
  return runners;
}
