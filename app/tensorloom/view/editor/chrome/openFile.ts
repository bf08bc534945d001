/**
 * Reading what was opened, dropped or pasted, and handing it to Python. Formats are told apart there;
 * the page only looks closely enough to read bytes as text or base64 and to ask what QASM needs.
 */

import type { ErrorJson } from "../protocol.ts";
import { store } from "../store.ts";

/** Larger files would not become a drawing anyone could use, and would stall the tab. */
export const MAX_TEXT_BYTES = 16 * 1024 * 1024;
export const MAX_ARRAY_BYTES = 256 * 1024 * 1024;

export interface ReadFile {
  name: string;
  text: string | null;
  base64: string | null;
}

export const isArrayFile = (name: string): boolean => /\.np[yz]$/i.test(name);

/** The number of qubits that an OpenQASM 2 text declares; null where it is not QASM. */
export function qasmQubits(text: string, name = ""): number | null {
  const plain = text.replace(/\/\/[^\n]*/g, "");
  if (!/^\s*OPENQASM\b/.test(plain) && !/\.qasm$/i.test(name)) return null;
  let qubits = 0;
  for (const declared of plain.matchAll(/\bqreg\s+[A-Za-z_]\w*\s*\[\s*(\d{1,6})\s*\]/g)) qubits += Number(declared[1]);
  return qubits;
}

/** Up to this many qubits the whole state is a reasonable thing to ask for. */
export const MAX_STATE_QUBITS = 16;

export function sizeError(name: string, size: number): ErrorJson | null {
  const limit = isArrayFile(name) ? MAX_ARRAY_BYTES : MAX_TEXT_BYTES;
  if (size <= limit) return null;
  const mib = (bytes: number) => `${Math.ceil(bytes / 1024 / 1024)} MiB`;
  return {
    kind: "FileFormatError",
    code: "file-too-large",
    message: `“${name}” has ${mib(size)}; at most ${mib(limit)} can be opened here.`,
    hint: isArrayFile(name) ? "Save a smaller slice of the array." : "Use the command line for files of this size.",
    where: { file: name },
    values: { size, limit },
  };
}

export async function readFile(file: File): Promise<ReadFile | null> {
  const error = sizeError(file.name, file.size);
  if (error) {
    store.complain(error);
    return null;
  }
  try {
    if (!isArrayFile(file.name)) return { name: file.name, text: await file.text(), base64: null };
    return { name: file.name, text: null, base64: toBase64(new Uint8Array(await file.arrayBuffer())) };
  } catch {
    // A folder, or a file that went away between choosing and reading.
    store.complain({ kind: "FileFormatError", code: "file-unreadable", message: `“${file.name}” cannot be read.`, hint: "It may be a folder, or it was moved. Choose it again.", where: { file: file.name }, values: {} });
    return null;
  }
}

export function toBase64(bytes: Uint8Array): string {
  const pieces: string[] = [];
  // Argument lists have a limit; a multiple of 3 keeps the pieces free of padding.
  const piece = 3 * 8192;
  for (let start = 0; start < bytes.length; start += piece) pieces.push(btoa(String.fromCharCode(...bytes.subarray(start, start + piece))));
  return pieces.join("");
}

/** Asks Python to open it: an array goes onto a tensor, everything else replaces the drawing. */
export function sendOpen(file: ReadFile, options: Record<string, unknown> = {}, onto: string | null = null): void {
  store.request({ kind: "open", format: null, name: file.name, text: file.text, base64: file.base64, onto, options });
}

/** Opens one file; QASM is given to `ask` first, as it can mean a state or an amplitude. */
export async function openFile(file: File, onto: string | null, ask: (file: ReadFile, qubits: number) => void): Promise<void> {
  const read = await readFile(file);
  if (!read) {
    // The complaint would lie under the dialog.
    store.set({ dialog: null });
    return;
  }
  if (read.base64 !== null) {
    openArray(read, onto);
    return;
  }
  const qubits = qasmQubits(read.text ?? "", read.name);
  if (qubits !== null) ask(read, qubits);
  else {
    sendOpen(read);
    store.set({ dialog: null });
  }
}

/** Arrays need a tensor to sit on: the one named, or the one selected. */
function openArray(read: ReadFile, onto: string | null): void {
  const selected = [...store.get().selection.tensors];
  const target = onto ?? (selected.length === 1 ? (selected[0] ?? null) : null);
  store.set({ dialog: null });
  if (target === null) {
    store.complain({ kind: "InputError", code: "no-tensor-selected", message: `“${read.name}” holds an array; it needs a tensor to sit on.`, hint: "Select one tensor, then open the file again.", where: { file: read.name }, values: {} });
    return;
  }
  sendOpen(read, {}, target);
}

/** The system's file chooser for arrays of one tensor. */
export async function pickFiles(onto: string, accept: string): Promise<void> {
  const input = document.createElement("input");
  input.type = "file";
  input.accept = accept;
  const chosen = new Promise<File | null>((resolve) => {
    input.addEventListener("change", () => resolve(input.files?.[0] ?? null), { once: true });
    input.addEventListener("cancel", () => resolve(null), { once: true });
  });
  input.click();
  const file = await chosen;
  if (file) await openFile(file, onto, () => undefined);
}
