/**
 * Replays GPU plans (`kernels/gpu/plan.py`) on the page's WebGPU device.
 *
 * Python never waits on the FFI per dispatch: it loads a plan once and submits ranges of calls.
 * Arrays arrive as Pyodide buffers and are viewed only at the moment of the copy, because memory may
 * grow while the GPU is awaited. Errors start with `device-lost:`, `no-gpu:` or are the device's own.
 */

import type { PyProxy } from "./pyodide.d.ts";

interface PlanRecord {
  shaders: { name: string; text: string }[];
  bufferBytes: number[];
  inputs: number;
  calls: { shader: number; left: number; right: number | null; out: number; groups: [number, number] }[];
  result: number;
  resultBytes: number;
}

interface Loaded {
  plan: PlanRecord;
  buffers: GPUBuffer[];
  largest: GPUBuffer;
  constants: GPUBuffer;
  bound: { pipeline: GPUComputePipeline; group: GPUBindGroup; groups: [number, number] }[];
}

export interface GpuExecutor {
  request(): Promise<string>;
  load(planJson: string): Promise<void>;
  upload(number: number, bytes: PyProxy): void;
  begin(constants: PyProxy): void;
  submit(first: number, last: number): Promise<void>;
  read(out: PyProxy, largest: PyProxy): Promise<void>;
  release(): void;
  /** For tests: makes the device go away as drivers do. */
  lose(): void;
}

/** Distance of two calls' constants, as in `kernels/gpu/plan.py`. */
const CALL_BYTES = 512;

const padded = (size: number): number => Math.ceil(size / 4) * 4;

export function createGpuExecutor(): GpuExecutor {
  const executor = new Executor();
  return {
    request: () => executor.request(),
    load: (planJson) => executor.load(JSON.parse(planJson) as PlanRecord),
    upload: (number, bytes) => executor.upload(number, bytes),
    begin: (constants) => executor.begin(constants),
    submit: (first, last) => executor.submit(first, last),
    read: (out, largest) => executor.read(out, largest),
    release: () => executor.release(),
    lose: () => executor.lose(),
  };
}

class Executor {
  private device: GPUDevice | null = null;
  private lost = "";
  private loaded: Loaded | null = null;
  private readonly pipelines = new Map<string, Promise<GPUComputePipeline>>();

  async request(): Promise<string> {
    const gpu = (navigator as Navigator & { gpu?: GPU }).gpu;
    if (!gpu) throw new Error("no-gpu: This browser has no WebGPU.");
    const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) throw new Error("no-gpu: WebGPU found no adapter here.");
    const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
    const device = await adapter.requestDevice({ requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } });
    this.pipelines.clear();
    this.loaded = null;
    this.device = device;
    this.lost = "";
    void device.lost.then((info) => {
      if (this.device === device) this.lost = `device-lost: ${info.reason} ${info.message}`;
    });
    const info = adapter.info;
    const software = info.architecture === "swiftshader" || (adapter as { isFallbackAdapter?: boolean }).isFallbackAdapter === true || (info as { isFallbackAdapter?: boolean }).isFallbackAdapter === true;
    return JSON.stringify({
      description: [info.vendor, info.architecture || info.device || info.description].filter(Boolean).join(" "),
      software,
      maxBufferBytes: Math.min(maxBufferSize, maxStorageBufferBindingSize),
    });
  }

  private alive(): GPUDevice {
    if (!this.device || this.lost) throw new Error(this.lost || "device-lost: there is no device");
    return this.device;
  }

  private current(): Loaded {
    if (!this.loaded) throw new Error("No plan is loaded.");
    return this.loaded;
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

  async load(plan: PlanRecord): Promise<void> {
    this.release();
    await this.caught(async (device) => {
      const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
      const pipelines = await Promise.all(plan.shaders.map((shader) => this.pipeline(device, shader)));
      const buffers = plan.bufferBytes.map((size) => device.createBuffer({ size: padded(size), usage: storage }));
      const nCalls = Math.max(1, plan.calls.length);
      const largest = device.createBuffer({ size: 4 * (nCalls + 1), usage: storage });
      const constants = device.createBuffer({ size: CALL_BYTES * nCalls, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
      const bound = plan.calls.map((call, number) => {
        const pipeline = pipelines[call.shader] as GPUComputePipeline;
        const at = (buffer: number): GPUBuffer => buffers[buffer] as GPUBuffer;
        const entries: GPUBindGroupEntry[] = [
          { binding: 0, resource: { buffer: at(call.left) } },
          { binding: 2, resource: { buffer: at(call.out) } },
          { binding: 3, resource: { buffer: largest } },
          { binding: 4, resource: { buffer: constants, offset: CALL_BYTES * number, size: CALL_BYTES } },
        ];
        if (call.right !== null) entries.push({ binding: 1, resource: { buffer: at(call.right) } });
        const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
        return { pipeline, group, groups: call.groups };
      });
      this.loaded = { plan, buffers, largest, constants, bound };
    });
  }

  private pipeline(device: GPUDevice, shader: { name: string; text: string }): Promise<GPUComputePipeline> {
    const known = this.pipelines.get(shader.name);
    if (known) return known;
    const made = device.createComputePipelineAsync({
      layout: "auto",
      compute: { module: device.createShaderModule({ code: shader.text, label: shader.name }), entryPoint: "main" },
    });
    this.pipelines.set(shader.name, made);
    made.catch(() => this.pipelines.delete(shader.name));
    return made;
  }

  upload(number: number, bytes: PyProxy): void {
    const target = this.current().buffers[number] as GPUBuffer;
    withBytes(bytes, (view) => this.write(target, view));
  }

  begin(constants: PyProxy): void {
    const { largest, constants: target, plan } = this.current();
    withBytes(constants, (view) => this.write(target, view));
    const cleared = new Float32Array(Math.max(1, plan.calls.length) + 1);
    cleared[0] = 1;
    this.alive().queue.writeBuffer(largest, 0, cleared);
  }

  private write(target: GPUBuffer, view: Uint8Array): void {
    const whole = view.byteLength - (view.byteLength % 4);
    const queue = this.alive().queue;
    queue.writeBuffer(target, 0, view.buffer as ArrayBuffer, view.byteOffset, whole);
  }

  async submit(first: number, last: number): Promise<void> {
    const { bound } = this.current();
    await this.caught(async (device) => {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (const { pipeline, group, groups } of bound.slice(first, last)) {
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(groups[0], groups[1]);
      }
      pass.end();
      device.queue.submit([encoder.finish()]);
      await device.queue.onSubmittedWorkDone();
    });
  }

  async read(out: PyProxy, largest: PyProxy): Promise<void> {
    const { plan, buffers, largest: magnitudes } = this.current();
    // Arguments from Python live only until this call first waits, unless copied.
    const kept = [out.copy(), largest.copy()] as const;
    try {
      await this.copyBack(buffers[plan.result] as GPUBuffer, plan.resultBytes, kept[0]);
      await this.copyBack(magnitudes, magnitudes.size, kept[1]);
    } finally {
      for (const buffer of kept) buffer.destroy();
    }
  }

  private async copyBack(from: GPUBuffer, size: number, to: PyProxy): Promise<void> {
    const device = this.alive();
    const staging = device.createBuffer({ size: padded(size), usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    try {
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(from, 0, staging, 0, padded(size));
      device.queue.submit([encoder.finish()]);
      await staging.mapAsync(GPUMapMode.READ).catch((error: unknown) => {
        throw new Error(this.lost || `device-lost: ${String(error)}`);
      });
      const bytes = new Uint8Array(staging.getMappedRange());
      withBytes(to, (view) => view.set(bytes.subarray(0, view.byteLength)));
    } finally {
      staging.destroy();
    }
  }

  release(): void {
    if (!this.loaded) return;
    const { buffers, largest, constants } = this.loaded;
    for (const buffer of [...buffers, largest, constants]) buffer.destroy();
    this.loaded = null;
  }

  lose(): void {
    this.device?.destroy();
  }
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
