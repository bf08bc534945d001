/**
 * One library in one page: tries the formulations of a contraction one by one, keeps the fastest
 * right one, and measures windows of it on demand. The driver decides when; nothing here runs by
 * itself. What ends the page or its device ends one formulation: the driver opens the page anew.
 *
 * A library's module exports open(backend, threads) -> { threads, adapt(task) -> Runner[] }. A
 * runner is { name, call(), wait(results), read(result) -> [re, im?], drop(result), dispose() };
 * call() may give a promise. Work counts as done when wait() has settled.
 */

const MODULES = { jax: "./jax.mjs", ort: "./ort.mjs", tf: "./tf.mjs", python: "./python.mjs" };
const TRIALS = 3;
const TRIAL_MS = 12;
const HOPELESS = 4;
const HOPELESS_FIRST = 20;
const HOPELESS_FIRST_MS = 1500;
const ENOUGH_MS = 1500;
const LONG_MS = 100;
const LOSS_MS = 100;

const trapped = [];
let lost = null;

/** Makes errors and loss of a WebGPU device errors of the contest: they would pass for speed. */
export function trap(device) {
  device.addEventListener("uncapturederror", ({ error }) => trapped.push(error.message));
  void device.lost.then(({ reason, message }) => {
    if (reason !== "destroyed") lost = `the device was lost: ${message}`;
  });
}

/** The page's handle for the driver; a test gives a library of its own. */
export async function begin(query, given) {
  const { open } = given ?? (await import(MODULES[query.get("library")]));
  const started = performance.now();
  const library = await open(query.get("backend"), Number(query.get("threads")));
  if (!crossOriginIsolated) throw new Error("the page is not cross-origin isolated");
  let kept = null;
  let runners = [];
  let data = null;
  let tolerance = 0;
  function dispose(index) {
    runners[index]?.dispose();
    runners[index] = null;
  }
  function release() {
    runners.forEach((_, index) => dispose(index));
    kept = null;
  }
  return {
    threads: library.threads,
    readyMs: performance.now() - started,
    /** Takes the task; resolves to the names of its formulations. */
    async adapt(task) {
      release();
      tolerance = task.tolerance;
      data = await load(task);
      runners = await library.adapt({ ...task, ...data });
      return runners.map(({ name }) => name);
    },
    /** Tries one formulation, and keeps it if it is the fastest right one so far. */
    async attempt(index) {
      const runner = runners[index];
      const outcome = await attempt(runner, data.expect, tolerance, kept?.ms ?? Infinity);
      if (outcome.error === null && (kept === null || outcome.ms < kept.ms)) {
        if (kept !== null) dispose(kept.index);
        kept = { runner, index, ms: outcome.ms, expect: data.expect };
      } else dispose(index);
      return outcome;
    },
    /** Milliseconds per call in a window of about so many; the first calls have settled. */
    async window(ms) {
      const { runner } = kept;
      const calls = Math.max(1, Math.min(2000, Math.round(ms / kept.ms)));
      // Not timed: whoever was before has had the caches and put this one's threads to sleep. A
      // call of many windows bears that itself.
      if (kept.ms < LONG_MS) await timed(runner, 1);
      const perCall = await timed(runner, calls);
      // Follow the machine: the next window is as long as this one should have been.
      kept.ms = Math.max(perCall, 1e-4);
      return perCall;
    },
    /** Error of one more result. */
    async check() {
      return maxErr(await one(kept.runner), kept.expect);
    },
    release,
  };
}

async function attempt(runner, expect, tolerance, best) {
  const outcome = { name: runner.name, ms: null, firstMs: null, maxErr: null, error: null, ended: null };
  try {
    const began = performance.now();
    const error = maxErr(await one(runner), expect);
    const firstMs = performance.now() - began;
    if (!(error <= tolerance)) return await failed({ ...outcome, firstMs, maxErr: error }, `wrong by ${error}`);
    // The first call compiles, so it is no time; one that took so long is an answer all the same.
    const last = firstMs > HOPELESS_FIRST_MS && firstMs > HOPELESS_FIRST * best;
    let guess = last ? firstMs : Math.max(1e-3, await timed(runner, 1));
    const times = [guess];
    // What is hopeless, or takes seconds, need not be known well.
    const enough = () => Math.min(...times) >= HOPELESS * best || performance.now() - began > firstMs + ENOUGH_MS;
    for (let trial = 0; trial < TRIALS && !last && !enough(); trial += 1) {
      guess = await timed(runner, Math.max(1, Math.min(500, Math.round(TRIAL_MS / guess))));
      times.push(guess);
    }
    return { ...outcome, ms: Math.min(...times), firstMs, maxErr: error };
  } catch (error) {
    return failed(outcome, shortened(error));
  }
}

/** A formulation without a time, and whether it took the device with it, which is told late. */
async function failed(outcome, error) {
  if (lost === null) await new Promise((go) => setTimeout(go, LOSS_MS));
  trapped.length = 0;
  return { ...outcome, error, ended: lost };
}

/** The end of a message: where Python and compilers put what matters. */
function shortened(error) {
  return String(error).trim().slice(-300);
}

async function timed(runner, calls) {
  if (runner.timed) return runner.timed(calls);
  const results = [];
  const began = performance.now();
  for (let call = 0; call < calls; call += 1) {
    const made = runner.call();
    results.push(made instanceof Promise ? await made : made);
    // Few stay: memory is not what is measured. A lazy library must not be let off its work.
    if (results.length === 16 && runner.eager) runner.drop(results.shift());
  }
  await runner.wait(results);
  const ms = (performance.now() - began) / calls;
  if (lost !== null) throw new Error(lost);
  if (trapped.length > 0) throw new Error(trapped.splice(0).join("; "));
  for (const result of results) runner.drop(result);
  return ms;
}

async function one(runner) {
  const result = await runner.call();
  await runner.wait([result]);
  const parts = await runner.read(result);
  runner.drop(result);
  return parts;
}

const ARRAYS = { float32: Float32Array, float64: Float64Array };

async function load({ urls, dtype }) {
  const wide = dtype === "float64" || dtype === "complex128";
  const Real = wide ? Float64Array : Float32Array;
  const raw = await Promise.all(
    urls.map(async (url) => new Real(await (await fetch(url, { cache: "no-store" })).arrayBuffer())),
  );
  const parts = dtype.startsWith("complex") ? raw.map(planar) : raw.map((array) => [array]);
  return { inputs: parts.slice(0, 2), expect: parts[2], Real: ARRAYS[wide ? "float64" : "float32"] };
}

/** Real and imaginary parts of interleaved numbers. */
function planar(array) {
  const parts = [new array.constructor(array.length / 2), new array.constructor(array.length / 2)];
  for (let at = 0; at < array.length; at += 1) parts[at % 2][at >> 1] = array[at];
  return parts;
}

/** Largest distance from the right numbers, in units of the largest of them. */
export function maxErr(parts, expect) {
  let worst = 0;
  let largest = 0;
  for (let at = 0; at < expect[0].length; at += 1) {
    let distance = 0;
    let size = 0;
    for (let part = 0; part < expect.length; part += 1) {
      distance += (parts[part][at] - expect[part][at]) ** 2;
      size += expect[part][at] ** 2;
    }
    // A missing number, or one that is none, must not pass as small.
    if (Number.isNaN(distance)) return Number.NaN;
    if (distance > worst) worst = distance;
    if (size > largest) largest = size;
  }
  if (parts.some((part, index) => part.length !== expect[index].length)) return Number.NaN;
  return Math.sqrt(worst / (largest || 1));
}

/**
 * A contraction by a library's operations: { permute, reshape, matmul(a, b, ta, tb), einsum, add,
 * sub, keep(x) }. Operations use their operands up; keep() gives one more handle.
 *
 * Complex numbers come as [re, im]: four products, or three (Gauss) if asked.
 */
export function contract(ops, made, [a, b], way) {
  if (made.einsum) {
    const product = (x, y) => ops.einsum(made.einsum, x, y);
    return combine(ops, product, a.map(ops.keep), b.map(ops.keep), way);
  }
  const [first, second] = made.swap ? [b, a] : [a, b];
  const side = (part) => (x) => {
    const ordered = part.perm ? ops.permute(ops.keep(x), part.perm) : ops.keep(x);
    return ops.reshape(ordered, part.shape);
  };
  const product = (x, y) => ops.matmul(x, y, made.left.transpose, made.right.transpose);
  const out = combine(ops, product, first.map(side(made.left)), second.map(side(made.right)), way);
  return out.map((x) => {
    const shaped = ops.reshape(x, made.shape);
    return made.perm ? ops.permute(shaped, made.perm) : shaped;
  });
}

function combine(ops, product, x, y, way) {
  if (x.length === 1) return [product(x[0], y[0])];
  const { keep, add, sub } = ops;
  if (way === "3 products") {
    const sums = product(add(keep(x[0]), keep(x[1])), add(keep(y[0]), keep(y[1])));
    const re = product(x[0], y[0]);
    const im = product(x[1], y[1]);
    return [sub(keep(re), keep(im)), sub(sub(sums, re), im)];
  }
  const re = sub(product(keep(x[0]), keep(y[0])), product(keep(x[1]), keep(y[1])));
  return [re, add(product(x[0], y[1]), product(x[1], y[0]))];
}

/** The ways a formulation can be written for numbers of this type. */
export function ways(dtype) {
  return dtype.startsWith("complex") ? ["4 products", "3 products"] : ["1 product"];
}
