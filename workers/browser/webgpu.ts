/**
 * Replays GPU plans (`kernels/gpu/plan.py`) on the page's WebGPU device.
 *
 * Plans stay loaded under a number: buffers, pipelines and bind groups are made once, a run is the
 * upload of what changed, one submission and one map. Python never waits on the FFI per dispatch.
 * Arrays arrive as Pyodide buffers and are viewed only at the moment of the copy, because memory may
 * grow while the GPU is awaited. Errors start with `device-lost:`, `no-gpu:` or are the device's own.
 */

import type { PyProxy } from "./pyodide.d.ts";

export interface PlanRecord {
  shaders: { name: string; text: string; bindings: number[] }[];
  bufferBytes: number[];
  inputs: number;
  calls: { shader: number; left: number; right: number | null; out: number; groups: [number, number] }[];
  slots: number;
  /** Buffers that begin a run at zero. */
  cleared: number[];
}

interface Bound {
  pipeline: GPUComputePipeline;
  group: GPUBindGroup;
  groups: [number, number];
}

interface Loaded {
  plan: PlanRecord;
  buffers: GPUBuffer[];
  largest: GPUBuffer;
  constants: GPUBuffer;
  bound: Bound[];
  /** Where results are mapped; kept, as making one costs more than a small run. */
  staging: GPUBuffer | null;
}

export interface GpuExecutor {
  /** Asks for adapter and device, in place of those it had; facts about them as JSON. */
  request(): Promise<string>;
  /** Makes everything a plan needs; resolves to its number. */
  load(planJson: string): Promise<number>;
  upload(handle: number, buffer: number, bytes: PyProxy): void;
  constants(handle: number, packed: PyProxy): void;
  begin(handle: number): void;
  /** Submits calls `first` up to `last` without waiting. */
  enqueue(handle: number, first: number, last: number): void;
  /** The same, until they are done. */
  submit(handle: number, first: number, last: number): Promise<void>;
  /** All calls so many times in one submission; the milliseconds of all, result left on the device. */
  repeat(handle: number, times: number): Promise<number>;
  /** The same by the device's clock where it has one: without what a submission costs. */
  timed(handle: number, times: number): Promise<number>;
  /** Buffers, one after the other in `out`; `parts` is JSON of `[buffer, bytes][]`. */
  read(handle: number, parts: string, out: PyProxy, largest: PyProxy): Promise<void>;
  unload(handle: number): void;
  /** Plans, buffers, bytes and pipelines alive, as JSON. */
  counts(): string;
  /** For tests: makes the device go away as drivers do. */
  lose(): void;
  /** For tests: the next loads fail as if memory had run out. */
  exhaust(times: number): void;
}

/** Distance of two calls' constants, as in `kernels/gpu/plan.py`. */
const CALL_BYTES = 512;

const MOST_PIPELINES = 512;

const WANTED_LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupStorageSize",
] as const;

const WANTED_FEATURES = ["subgroups", "timestamp-query", "shader-f16", "chromium-experimental-subgroup-matrix"];

const padded = (size: number): number => Math.ceil(size / 4) * 4;

export function createGpuExecutor(): GpuExecutor {
  return new Executor();
}

class Executor implements GpuExecutor {
  private device: GPUDevice | null = null;
  private lost = "";
  private handles = 0;
  private exhausted = 0;
  private readonly loaded = new Map<number, Loaded>();
  private readonly pipelines = new Map<string, Promise<GPUComputePipeline>>();

  async request(): Promise<string> {
    const gpu = (navigator as Navigator & { gpu?: GPU }).gpu;
    if (!gpu) throw new Error("no-gpu: This browser has no WebGPU.");
    const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) throw new Error("no-gpu: WebGPU found no adapter here.");
    const requiredLimits = Object.fromEntries(WANTED_LIMITS.map((name) => [name, adapter.limits[name]]));
    const requiredFeatures = WANTED_FEATURES.filter((name) => adapter.features.has(name)) as GPUFeatureName[];
    const device = await adapter.requestDevice({ requiredLimits, requiredFeatures });
    const before = this.device;
    this.pipelines.clear();
    this.loaded.clear();
    this.device = device;
    this.lost = "";
    // With its buffers: one that is still there would keep them until some garbage collection.
    before?.destroy();
    void device.lost.then((info) => {
      if (this.device === device) this.lost = `device-lost: ${info.reason} ${info.message}`;
    });
    return JSON.stringify(factsOf(adapter, device));
  }

  private alive(): GPUDevice {
    if (!this.device || this.lost) throw new Error(this.lost || "device-lost: there is no device");
    return this.device;
  }

  private at(handle: number): Loaded {
    const found = this.loaded.get(handle);
    // It went with its device, if that was renewed meanwhile.
    if (!found) throw new Error(this.lost || `device-lost: no plan has the number ${handle}`);
    return found;
  }

  /** Runs a step with the device's errors caught: validation and memory. */
  private async caught<T>(step: (device: GPUDevice) => Promise<T> | T): Promise<T> {
    const device = this.alive();
    device.pushErrorScope("out-of-memory");
    device.pushErrorScope("validation");
    let value: T;
    let errors: (GPUError | null)[];
    try {
      value = await step(device);
    } finally {
      errors = await Promise.all([device.popErrorScope(), device.popErrorScope()]).catch(() => []);
    }
    if (this.lost) throw new Error(this.lost);
    const error = errors.find((found) => found !== null);
    if (error) throw new Error(error.message);
    return value;
  }

  async load(planJson: string): Promise<number> {
    const plan = JSON.parse(planJson) as PlanRecord;
    if (this.exhausted > 0) {
      this.exhausted -= 1;
      throw new Error("Out of memory.");
    }
    let made: Loaded | null = null;
    try {
      await this.caught(async (device) => {
        const pipelines = await Promise.all(plan.shaders.map((shader) => this.pipeline(device, shader)));
        made = place(device, plan, pipelines);
      });
    } catch (error) {
      if (made) destroy(made);
      throw error;
    }
    this.handles += 1;
    this.loaded.set(this.handles, made as unknown as Loaded);
    return this.handles;
  }

  private pipeline(device: GPUDevice, shader: { name: string; text: string }): Promise<GPUComputePipeline> {
    const known = this.pipelines.get(shader.name);
    this.pipelines.delete(shader.name);
    const made =
      known ??
      device.createComputePipelineAsync({
        layout: "auto",
        compute: { module: device.createShaderModule({ code: shader.text, label: shader.name }), entryPoint: "main" },
      });
    this.pipelines.set(shader.name, made);
    if (!known) made.catch(() => this.pipelines.delete(shader.name));
    for (const oldest of this.pipelines.keys()) {
      if (this.pipelines.size <= MOST_PIPELINES) break;
      this.pipelines.delete(oldest);
    }
    return made;
  }

  upload(handle: number, buffer: number, bytes: PyProxy): void {
    withBytes(bytes, (view) => this.write(this.at(handle).buffers[buffer] as GPUBuffer, view));
  }

  constants(handle: number, packed: PyProxy): void {
    withBytes(packed, (view) => this.write(this.at(handle).constants, view));
  }

  begin(handle: number): void {
    const { largest, plan, buffers } = this.at(handle);
    const device = this.alive();
    const cleared = new Float32Array(plan.slots);
    cleared[0] = 1;
    device.queue.writeBuffer(largest, 0, cleared);
    if (plan.cleared.length === 0) return;
    const encoder = device.createCommandEncoder();
    for (const number of plan.cleared) encoder.clearBuffer(buffers[number] as GPUBuffer);
    device.queue.submit([encoder.finish()]);
  }

  private write(target: GPUBuffer, view: Uint8Array): void {
    const whole = view.byteLength - (view.byteLength % 4);
    this.alive().queue.writeBuffer(target, 0, view.buffer as ArrayBuffer, view.byteOffset, whole);
  }

  enqueue(handle: number, first: number, last: number): void {
    submitCalls(this.alive(), this.at(handle).bound.slice(first, last), 1);
  }

  async submit(handle: number, first: number, last: number): Promise<void> {
    await this.caught(async (device) => {
      submitCalls(device, this.at(handle).bound.slice(first, last), 1);
      await device.queue.onSubmittedWorkDone();
    });
  }

  async repeat(handle: number, times: number): Promise<number> {
    return this.caught(async (device) => {
      const { bound } = this.at(handle);
      const start = performance.now();
      submitCalls(device, bound, times);
      await device.queue.onSubmittedWorkDone();
      return performance.now() - start;
    });
  }

  async timed(handle: number, times: number): Promise<number> {
    if (!this.alive().features.has("timestamp-query")) return this.repeat(handle, times);
    return this.caught((device) => withTimestamps(device, (writes) => submitCalls(device, this.at(handle).bound, times, writes)));
  }

  async read(handle: number, parts: string, out: PyProxy, largest: PyProxy): Promise<void> {
    // Arguments from Python live only until this call first waits, unless copied.
    const kept = [out.copy(), largest.copy()] as const;
    try {
      await this.copyBack(this.at(handle), JSON.parse(parts) as [number, number][], kept);
    } finally {
      for (const view of kept) view.destroy();
    }
  }

  /** Buffers and the magnitudes through one mapping. */
  private async copyBack(loaded: Loaded, parts: [buffer: number, bytes: number][], [out, largest]: readonly [PyProxy, PyProxy]): Promise<void> {
    const device = this.alive();
    const slotBytes = 4 * loaded.plan.slots;
    const size = parts.reduce((total, [, bytes]) => total + padded(bytes), slotBytes);
    if (loaded.staging && loaded.staging.size < size) loaded.staging.destroy();
    if (!loaded.staging || loaded.staging.size < size) {
      loaded.staging = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    }
    const { staging } = loaded;
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(loaded.largest, 0, staging, 0, slotBytes);
    let place = slotBytes;
    for (const [number, bytes] of parts) {
      encoder.copyBufferToBuffer(loaded.buffers[number] as GPUBuffer, 0, staging, place, padded(bytes));
      place += padded(bytes);
    }
    device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ, 0, size).catch((error: unknown) => {
      throw new Error(this.lost || `device-lost: ${String(error)}`);
    });
    const bytes = new Uint8Array(staging.getMappedRange(0, size));
    withBytes(largest, (view) => view.set(bytes.subarray(0, view.byteLength)));
    withBytes(out, (view) => {
      let from = slotBytes;
      let to = 0;
      for (const [, length] of parts) {
        view.set(bytes.subarray(from, from + length), to);
        from += padded(length);
        to += length;
      }
    });
    staging.unmap();
    // After a loss mappings resolve to zeros.
    if (this.lost) throw new Error(this.lost);
  }

  unload(handle: number): void {
    const found = this.loaded.get(handle);
    this.loaded.delete(handle);
    if (found) destroy(found);
  }

  counts(): string {
    const all = [...this.loaded.values()].flatMap(buffersOf);
    const bytes = all.reduce((total, buffer) => total + buffer.size, 0);
    return JSON.stringify({ plans: this.loaded.size, buffers: all.length, bytes, pipelines: this.pipelines.size });
  }

  lose(): void {
    this.device?.destroy();
  }

  exhaust(times: number): void {
    this.exhausted = times;
  }
}

/** What kernels are chosen by. */
function factsOf(adapter: GPUAdapter, device: GPUDevice): object {
  const info = adapter.info as GPUAdapterInfo & { isFallbackAdapter?: boolean; subgroupMinSize?: number; subgroupMaxSize?: number };
  const fallback = info.isFallbackAdapter ?? (adapter as { isFallbackAdapter?: boolean }).isFallbackAdapter;
  const { limits } = device;
  const fixed = device.features.has("subgroups") && info.subgroupMinSize === info.subgroupMaxSize;
  return {
    description: [info.vendor, info.architecture || info.device || info.description].filter(Boolean).join(" "),
    software: info.architecture === "swiftshader" || fallback === true,
    maxBufferBytes: Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize),
    threads: limits.maxComputeInvocationsPerWorkgroup,
    workgroupBytes: limits.maxComputeWorkgroupStorageSize,
    subgroup: fixed ? (info.subgroupMinSize ?? 0) : 0,
    half: device.features.has("shader-f16"),
    matrices: device.features.has("chromium-experimental-subgroup-matrix" as GPUFeatureName),
  };
}

/** A plan's buffers and bind groups. */
function place(device: GPUDevice, plan: PlanRecord, pipelines: GPUComputePipeline[]): Loaded {
  const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const buffers = plan.bufferBytes.map((size) => device.createBuffer({ size: padded(size), usage: storage }));
  const largest = device.createBuffer({ size: 4 * plan.slots, usage: storage });
  const constants = device.createBuffer({
    size: CALL_BYTES * Math.max(1, plan.calls.length),
    usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
  });
  const bound = plan.calls.map((call, number): Bound => {
    const pipeline = pipelines[call.shader] as GPUComputePipeline;
    const at = (buffer: number): GPUBindingResource => ({ buffer: buffers[buffer] as GPUBuffer });
    const resources: GPUBindingResource[] = [
      at(call.left),
      at(call.right ?? call.left),
      at(call.out),
      { buffer: largest },
      { buffer: constants, offset: CALL_BYTES * number, size: CALL_BYTES },
    ];
    const { bindings } = plan.shaders[call.shader] as PlanRecord["shaders"][number];
    const entries = bindings.map((binding) => ({ binding, resource: resources[binding] as GPUBindingResource }));
    return { pipeline, group: device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }), groups: call.groups };
  });
  return { plan, buffers, largest, constants, bound, staging: null };
}

/** Milliseconds between the beginning and the end of a pass. */
async function withTimestamps(device: GPUDevice, submit: (writes: GPUComputePassTimestampWrites) => void): Promise<number> {
  const querySet = device.createQuerySet({ type: "timestamp", count: 2 });
  const resolved = device.createBuffer({ size: 16, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
  const mapped = device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  try {
    submit({ querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 });
    const encoder = device.createCommandEncoder();
    encoder.resolveQuerySet(querySet, 0, 2, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, mapped, 0, 16);
    device.queue.submit([encoder.finish()]);
    await mapped.mapAsync(GPUMapMode.READ);
    const [start, end] = new BigUint64Array(mapped.getMappedRange()) as unknown as [bigint, bigint];
    return Number(end - start) / 1e6;
  } finally {
    querySet.destroy();
    resolved.destroy();
    mapped.destroy();
  }
}

function submitCalls(device: GPUDevice, bound: Bound[], times: number, timestampWrites?: GPUComputePassTimestampWrites): void {
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass(timestampWrites && { timestampWrites });
  for (let turn = 0; turn < times; turn++) {
    for (const { pipeline, group, groups } of bound) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(groups[0], groups[1]);
    }
  }
  pass.end();
  device.queue.submit([encoder.finish()]);
}

function buffersOf({ buffers, largest, constants, staging }: Loaded): GPUBuffer[] {
  return [...buffers, largest, constants, ...(staging ? [staging] : [])];
}

function destroy(loaded: Loaded): void {
  for (const buffer of buffersOf(loaded)) buffer.destroy();
}

/** A Python buffer's bytes for the length of one synchronous step. */
export function withBytes(buffer: PyProxy, use: (view: Uint8Array) => void): void {
  const held = buffer.getBuffer("u8");
  try {
    const { data } = held;
    use(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  } finally {
    held.release();
  }
}
