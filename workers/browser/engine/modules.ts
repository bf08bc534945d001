/**
 * Kernels in an engine: one driver, and a table slot for each kernel that a loaded program uses.
 *
 * Slots are counted by the programs that use them and given to others when nobody does.
 */

export interface DriverExports {
  kernels: WebAssembly.Table;
  run(records: number, first: number, last: number, low: number, high: number): number;
  scan(places: number, first: number, last: number, check: number, low: number, high: number): number;
  lead?(control: number, job: number, scratch: number, workspace: number): number;
  serve?(control: number, epoch: number, scratch: number, workspace: number): void;
  nothing?(record: number): void;
}

/** Slot 0 holds the kernel that does nothing. */
const FIRST_SLOT = 1;

export class KernelTable {
  readonly driver: DriverExports;
  private readonly slots = new Map<string, { slot: number; users: number }>();
  private readonly free: number[] = [];
  private next = FIRST_SLOT;

  constructor(
    driver: Uint8Array,
    private readonly memory: WebAssembly.Memory,
    readonly shared: boolean,
    private readonly announce: (slot: number, module: WebAssembly.Module) => void = () => undefined,
  ) {
    const module = compileModule(driver, shared);
    this.driver = instantiate(module, memory) as unknown as DriverExports;
    if (this.driver.nothing) this.driver.kernels.set(0, this.driver.nothing);
    this.driverModule = module;
  }

  readonly driverModule: WebAssembly.Module;

  get size(): number {
    return this.slots.size;
  }

  /** The kernel's slot, for one more user. */
  take(name: string, bytes: Uint8Array): number {
    const known = this.slots.get(name);
    if (known) {
      known.users += 1;
      return known.slot;
    }
    const module = compileModule(bytes, this.shared);
    const kernel = kernelOf(module, this.memory);
    const slot = this.free.pop() ?? this.next++;
    this.driver.kernels.set(slot, kernel);
    this.announce(slot, module);
    this.slots.set(name, { slot, users: 1 });
    return slot;
  }

  /** One user less; without users the slot is free, its kernel stays until it is overwritten. */
  drop(name: string): void {
    const known = this.slots.get(name);
    if (!known) return;
    known.users -= 1;
    if (known.users > 0) return;
    this.slots.delete(name);
    this.free.push(known.slot);
  }
}

export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): WebAssembly.Exports {
  return new WebAssembly.Instance(module, { env: { memory } }).exports;
}

export function kernelOf(module: WebAssembly.Module, memory: WebAssembly.Memory): unknown {
  return instantiate(module, memory).kernel;
}

function compileModule(bytes: Uint8Array, shared: boolean): WebAssembly.Module {
  return new WebAssembly.Module((shared ? withSharedMemory(bytes) : bytes) as Uint8Array<ArrayBuffer>);
}

/** `env.memory` of at least one page, without a limit: all that our modules ever import. */
const IMPORT = [3, 0x65, 0x6e, 0x76, 6, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 2, 0, 1];
/** The same as shared memory of at most 65,536 pages, which any shared memory is. */
const SHARED_IMPORT = [...IMPORT.slice(0, -2), 3, 1, 0x80, 0x80, 4];

/** The module with its memory import made a shared one; nothing else differs between the two. */
export function withSharedMemory(bytes: Uint8Array): Uint8Array {
  let at = 8;
  while (at < bytes.length) {
    const number = bytes[at];
    let size = 0;
    let shift = 0;
    let start = at + 1;
    for (let byte = 0x80; byte & 0x80; shift += 7) {
      byte = bytes[start++] ?? 0;
      size |= (byte & 0x7f) << shift;
    }
    if (number === 2) {
      const found = bytes.subarray(start, start + size);
      if (found[0] !== 1 || IMPORT.some((byte, place) => found[place + 1] !== byte)) break;
      const section = [2, SHARED_IMPORT.length + 1, 1, ...SHARED_IMPORT];
      const made = new Uint8Array(at + section.length + bytes.length - start - size);
      made.set(bytes.subarray(0, at));
      made.set(section, at);
      made.set(bytes.subarray(start + size), at + section.length);
      return made;
    }
    at = start + size;
  }
  throw new Error("A kernel imports something else than its memory.");
}
