/**
 * The threads of an engine: helper workers that serve on its shared memory (`kernels/wasm/team.py`).
 *
 * Helpers sit inside `serve` until the epoch changes; only then do they read messages, so a new
 * kernel is announced by ending the epoch, posting the kernel, and letting them serve the next one.
 */

import type { EngineMemory } from "./memory.ts";

/** Offsets as in `kernels/wasm/team.py`; `stopped` says that a kernel stopped half way in a helper. */
export const CONTROL = { generation: 0, epoch: 4, sleepers: 8, job: 64, busy: 128, stopped: 132 };
export const CONTROL_BYTES = 192;
export const JOB = { done: 64, records: 128, low: 144 };
export const JOB_BYTES = 192;
const SCRATCH_BYTES = 64;

export type ToHelper =
  | { type: "start"; memory: WebAssembly.Memory; driver: WebAssembly.Module; control: number; scratch: number; workspace: number }
  | { type: "kernel"; slot: number; module: WebAssembly.Module }
  | { type: "serve"; epoch: number };

export class Team {
  private readonly control: number;
  private readonly scratch: number;
  private readonly helpers: Worker[] = [];
  private epoch = 0;
  private serving = false;
  private waiting: { slot: number; module: WebAssembly.Module }[] = [];
  private leadDriver: ((control: number, job: number, scratch: number, workspace: number) => number) | null = null;

  constructor(
    private readonly memory: EngineMemory,
    private readonly workspace: number,
  ) {
    this.control = memory.allocate(CONTROL_BYTES);
    memory.bytes(this.control, CONTROL_BYTES).fill(0);
    this.scratch = memory.allocate(SCRATCH_BYTES);
  }

  /** Starts the helpers; resolved when all have compiled the driver. */
  async start(count: number, makeWorker: () => Worker, driver: WebAssembly.Module, lead: Team["leadDriver"], workspaceBytes: number): Promise<void> {
    this.leadDriver = lead;
    const started = Array.from({ length: count }, () => {
      const helper = makeWorker();
      const message: ToHelper = {
        type: "start",
        memory: this.memory.memory,
        driver,
        control: this.control,
        scratch: this.memory.allocate(SCRATCH_BYTES),
        workspace: this.memory.allocate(workspaceBytes),
      };
      this.helpers.push(helper);
      return new Promise<void>((resolve, reject) => {
        helper.onmessage = () => resolve();
        helper.onerror = (event) => reject(new Error(event.message || "A helper thread could not start."));
        helper.postMessage(message);
      });
    });
    await Promise.all(started);
  }

  get size(): number {
    return 1 + this.helpers.length;
  }

  /** A kernel that helpers have to know before the next job. */
  announce(slot: number, module: WebAssembly.Module): void {
    this.waiting.push({ slot, module });
  }

  /** Does a job with whoever serves; whether magnitudes left the range. Throws where a kernel stops half way. */
  lead(job: number): boolean {
    if (this.waiting.length > 0 || !this.serving) this.tell();
    try {
      const outside = this.leadDriver?.(this.control, job, this.scratch, this.workspace) === 1;
      if (Atomics.exchange(this.words(), CONTROL.stopped / 4, 0)) throw new Error("A kernel stopped half way in a helper thread.");
      return outside;
    } catch (error) {
      // Helpers may still be at this job's records, and the next run begins to count anew.
      this.rest();
      Atomics.store(this.words(), CONTROL.stopped / 4, 0);
      throw error;
    }
  }

  /** No job any more, and nobody at one: after this its memory may be freed. */
  rest(): void {
    const words = this.words();
    Atomics.store(words, CONTROL.job / 4, 0);
    while (Atomics.load(words, CONTROL.busy / 4) !== 0);
  }

  /** Lets helpers leave their waiting for messages, as before a long pause. */
  stop(): void {
    for (const helper of this.helpers) helper.terminate();
    this.helpers.length = 0;
  }

  private tell(): void {
    const words = this.words();
    this.epoch += 1;
    Atomics.store(words, CONTROL.epoch / 4, this.epoch);
    Atomics.add(words, CONTROL.generation / 4, 1);
    Atomics.notify(words, CONTROL.generation / 4);
    for (const helper of this.helpers) {
      for (const kernel of this.waiting) helper.postMessage({ type: "kernel", ...kernel } satisfies ToHelper);
      helper.postMessage({ type: "serve", epoch: this.epoch } satisfies ToHelper);
    }
    this.waiting = [];
    this.serving = true;
  }

  private words(): Int32Array<ArrayBuffer> {
    return new Int32Array(this.memory.memory.buffer as ArrayBuffer, this.control, CONTROL_BYTES / 4);
  }
}

/** For a helper that was thrown out of `serve`: its record counts as done, or the leader would wait for ever. */
export function stoppedHalfWay(memory: WebAssembly.Memory, control: number): void {
  const words = new Int32Array(memory.buffer as ArrayBuffer, control, CONTROL_BYTES / 4);
  // The leader waits for this record, so the job is still the same; or it stopped half way itself,
  // and there is none: what lies at address 0 is somebody else's.
  const job = Atomics.load(words, CONTROL.job / 4);
  Atomics.store(words, CONTROL.stopped / 4, 1);
  if (job !== 0) Atomics.add(new Int32Array(memory.buffer as ArrayBuffer, job, JOB_BYTES / 4), JOB.done / 4, 1);
  Atomics.sub(words, CONTROL.busy / 4, 1);
}
