/**
 * NumPy's .npy files: written for uploads, read for results. Pure.
 *
 * Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, version 1.0.
 */

import type { DType } from "../protocol.ts";

const DESCRIPTION: Readonly<Record<DType, string>> = { float32: "<f4", float64: "<f8", complex64: "<c8", complex128: "<c16" };
const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
/** The data begins at a multiple of this. */
const ALIGNMENT = 64;

/** A .npy file of elements given little-endian in C order. */
export function writeNpy(dtype: DType, shape: readonly number[], data: Uint8Array): Uint8Array<ArrayBuffer> {
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
  const words = `{'descr': '${DESCRIPTION[dtype]}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const start = Math.ceil((MAGIC.length + 4 + words.length + 1) / ALIGNMENT) * ALIGNMENT;
  const header = words.padEnd(start - MAGIC.length - 4 - 1, " ") + "\n";
  const file = new Uint8Array(start + data.byteLength);
  file.set(MAGIC);
  file.set([1, 0, header.length & 0xff, header.length >> 8], MAGIC.length);
  for (let place = 0; place < header.length; place++) file[MAGIC.length + 4 + place] = header.charCodeAt(place);
  file.set(data, start);
  return file;
}

export interface NpyArray {
  dtype: DType;
  shape: number[];
  /** The elements, little-endian in C order, complex interleaved; a copy of its own. */
  data: ArrayBuffer;
}

/** The array of a .npy file of the engine's types; anything else is refused. */
export function readNpy(file: ArrayBuffer): NpyArray {
  const bytes = new Uint8Array(file);
  if (MAGIC.some((byte, place) => bytes[place] !== byte)) throw new Error("This is not a .npy file.");
  const view = new DataView(file);
  const isLong = (bytes[6] ?? 0) > 1;
  const begin = isLong ? 12 : 10;
  const length = isLong ? view.getUint32(8, true) : view.getUint16(8, true);
  const header = new TextDecoder("latin1").decode(bytes.subarray(begin, begin + length));
  const description = /'descr': *'([^']*)'/.exec(header)?.[1];
  const shape = /'shape': *\(([^)]*)\)/.exec(header)?.[1];
  const dtype = (Object.keys(DESCRIPTION) as DType[]).find((name) => DESCRIPTION[name] === description);
  if (!dtype || shape === undefined || !/'fortran_order': *False/.test(header)) throw new Error("This .npy file holds another type or order than asked for.");
  const sizes = shape.split(",").map((size) => size.trim()).filter((size) => size !== "").map(Number);
  const data = file.slice(begin + length);
  if (data.byteLength !== sizes.reduce((product, size) => product * size, 1) * Number(DESCRIPTION[dtype].slice(2))) throw new Error("This .npy file was cut short.");
  return { dtype, shape: sizes, data };
}
