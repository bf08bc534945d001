/** Reads what `kernels/wasm/compiled.py` writes; the same refusals, by the same codes. */

export type DType = "float32" | "float64" | "complex64" | "complex128";
export type Group = [first: number, last: number, shared: boolean, done: number];

/** A compiled program; see `Compiled` in Python for what each field says. */
export interface Compiled {
  dtype: DType;
  shape: number[];
  relaxedSimd: boolean;
  threads: number;
  modules: { name: string; bytes: Uint8Array }[];
  driver: Uint8Array;
  words: Uint32Array;
  operands: Uint32Array;
  outOffsets: Uint32Array;
  dispatches: Uint32Array;
  descriptors: Uint32Array;
  groups: Group[];
  outs: number[];
  elements: number[];
  inputs: number;
  offsets: number[];
  arenaBytes: number;
  workspaceBytes: number;
  result: number;
  resultAxes: [size: number, stride: number][];
  slices: [size: number, inputs: [buffer: number, stride: number][], output: number | null][];
  check: number;
  mulAdds: number;
  /** What follows is absent in older files. */
  fused?: [record: number, first: number, last: number][];
  table?: number | null;
  once?: number;
  itemBytes: number;
}

export interface CompiledFile {
  programs: Compiled[];
  about: Record<string, unknown>;
  parts: Map<string, Uint8Array>;
}

type Place = [start: number, length: number];

interface Head {
  tensorloomProgram: number;
  programs: (Record<string, unknown> & { modules: [string, Place][] })[];
  about: Record<string, unknown>;
  parts: Record<string, Place>;
}

export const VERSION = 1;
const MAGIC = "TLPROG\r\n";
const HEAD_BYTES = 52;
const WORDS = ["words", "operands", "outOffsets", "dispatches", "descriptors"];

function refused(code: string, message: string, hint: string): { code: string; where: object; hint: string; message: string } {
  return { code, where: {}, hint, message };
}

function corrupt(why: string): object {
  return refused("compiled-corrupt", `This is no whole compiled network. ${why}`, "Fetch it again, or export the network again.");
}

/** Whether the bytes are those that were written; the hash costs 1 ms per megabyte. */
export async function checked(data: Uint8Array): Promise<Uint8Array> {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  if (data.byteLength < HEAD_BYTES || new TextDecoder().decode(data.subarray(0, 8)) !== MAGIC) throw corrupt("It does not begin as compiled networks do.");
  const content = data.subarray(HEAD_BYTES - 4);
  const length = Number(view.getBigUint64(8, true));
  if (content.byteLength !== length) throw corrupt(`It has ${content.byteLength} bytes where ${length} belong.`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content as Uint8Array<ArrayBuffer>));
  if (!digest.every((byte, place) => byte === data[16 + place])) throw corrupt("Its bytes do not belong together.");
  return data;
}

/** The file's programs, as views into it; whoever gets it from elsewhere has it `checked` first. */
export function readCompiled(given: Uint8Array): CompiledFile {
  // Words are read in place, which wants them at multiples of four.
  const data = given.byteOffset % 4 === 0 ? given : given.slice();
  const headBytes = new DataView(data.buffer, data.byteOffset, data.byteLength).getUint32(HEAD_BYTES - 4, true);
  const head = JSON.parse(new TextDecoder().decode(data.subarray(HEAD_BYTES, HEAD_BYTES + headBytes))) as Head;
  if (head.tensorloomProgram > VERSION) {
    const message = `This compiled network has version ${head.tensorloomProgram}; this Tensorloom reads up to ${VERSION}.`;
    throw refused("compiled-newer", message, "Use a newer Tensorloom, or export the network again.");
  }
  const start = HEAD_BYTES + headBytes;
  const part = ([at, length]: Place) => data.subarray(start + at, start + at + length);
  const programs = head.programs.map((found) => {
    const words = WORDS.map((name) => {
      const bytes = part(found[name] as Place);
      return [name, new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)];
    });
    const modules = found.modules.map(([name, place]) => ({ name, bytes: part(place) }));
    return { ...found, ...Object.fromEntries(words), modules, driver: part(found.driver as Place) } as unknown as Compiled;
  });
  return { programs, about: head.about, parts: new Map(Object.entries(head.parts).map(([name, place]) => [name, part(place)])) };
}
