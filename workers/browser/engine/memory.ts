/**
 * The engine's own memory: a WebAssembly memory and who holds which part of it.
 *
 * First fit with merging, so programs that come and go reuse the same places. Views are taken anew
 * whenever the memory may have grown; nobody keeps one.
 */

const PAGE = 1 << 16;
/** A cache line; threads never share one by accident. */
const ALIGNMENT = 64;
/** Address 0 stays unused, so that it can mean "none". */
const FIRST = 64;
/** 4 GiB less one page: the size in bytes still fits 32 bits. */
const MOST_PAGES = 65535;

export class EngineMemory {
  readonly memory: WebAssembly.Memory;
  private free: { start: number; size: number }[] = [];
  private readonly held = new Map<number, number>();
  private end = FIRST;

  constructor(readonly shared: boolean) {
    // Shared memory must say how far it may grow; what is not touched takes no room.
    this.memory = shared ? new WebAssembly.Memory({ initial: 16, maximum: MOST_PAGES, shared: true }) : new WebAssembly.Memory({ initial: 16 });
  }

  /** A place of at least one byte; its contents are left over. */
  allocate(bytes: number): number {
    const size = Math.max(1, Math.ceil(bytes / ALIGNMENT)) * ALIGNMENT;
    const place = this.free.find((hole) => hole.size >= size);
    let start: number;
    if (place) {
      start = place.start;
      place.start += size;
      place.size -= size;
      if (place.size === 0) this.free = this.free.filter((hole) => hole !== place);
    } else {
      start = this.end;
      this.grow(start + size);
      this.end = start + size;
    }
    this.held.set(start, size);
    return start;
  }

  release(start: number): void {
    const size = this.held.get(start);
    if (size === undefined) throw new Error(`Nobody holds ${start}.`);
    this.held.delete(start);
    const next = this.free.findIndex((hole) => hole.start > start);
    const at = next < 0 ? this.free.length : next;
    this.free.splice(at, 0, { start, size });
    this.merge(at);
    if (at > 0) this.merge(at - 1);
    const last = this.free.at(-1);
    if (last && last.start + last.size === this.end) {
      this.end = last.start;
      this.free.pop();
    }
  }

  /** Bytes that are held, and how long the memory is; tests look for leaks with these. */
  get counters(): { heldBytes: number; places: number; memoryBytes: number } {
    let heldBytes = 0;
    for (const size of this.held.values()) heldBytes += size;
    return { heldBytes, places: this.held.size, memoryBytes: this.memory.buffer.byteLength };
  }

  bytes(start: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.memory.buffer as ArrayBuffer, start, length);
  }

  words(start: number, length: number): Uint32Array<ArrayBuffer> {
    return new Uint32Array(this.memory.buffer as ArrayBuffer, start, length);
  }

  private grow(end: number): void {
    const missing = Math.ceil((end - this.memory.buffer.byteLength) / PAGE);
    if (missing > 0) this.memory.grow(missing);
  }

  private merge(at: number): void {
    const [hole, next] = [this.free[at], this.free[at + 1]];
    if (!hole || !next || hole.start + hole.size !== next.start) return;
    hole.size += next.size;
    this.free.splice(at + 1, 1);
  }
}
