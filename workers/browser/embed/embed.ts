/**
 * An embedded network: its drawing and its value, computed by the engine alone, no Python.
 *
 * The file (`view/embed.py`) is in the address, or beside the page as `?file=`. Only what is needed
 * for the first number happens before it; what is drawn is made of elements, never of markup.
 */

import { checked, type Compiled, readCompiled } from "../engine/compiledFile.ts";
import { startEngine } from "../engine/engine.ts";
import type { LoadedProgram } from "../engine/program.ts";
import { type Scalars, scalarsOf } from "../engine/scaling.ts";
import { canFuse } from "../simd.ts";
import { boundWords, errorBound, type Rounding } from "./bound.ts";
import { drawing, type Drawn } from "./drawing.ts";
import { narrowed, partName, widened } from "./inputs.ts";

interface About extends Drawn {
  title: string;
  /** With the exponent taken out of each tensor's numbers; files from before lack it. */
  tensors: (Drawn["tensors"][number] & { exponent?: number })[];
  rounding?: Rounding;
}

const SHOWN_VALUES = 12;
const EDITED_VALUES = 16;

function place(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no ${id}.`);
  return found;
}

async function bytesOf(): Promise<Uint8Array> {
  const address = new URLSearchParams(location.search).get("file");
  if (address) return fetched(address);
  const link = location.hash.slice(1);
  if (link === "") throw refused("There is no network in this address.", "Copy it as a whole, with all that follows #.");
  try {
    return await unpacked(link);
  } catch {
    // A browser's own words tell of base64, or of a fetch that nobody made.
    throw refused("This link is damaged or cut short.", "Copy it as a whole, with all that follows #.");
  }
}

function refused(message: string, hint: string): { message: string; hint: string } {
  return { message, hint };
}

async function fetched(address: string): Promise<Uint8Array> {
  const asked = async () => fetch(new URL(address, location.href));
  const response = await asked().catch(() => undefined);
  if (!response?.ok) throw refused(`${address} could not be fetched${response ? `: ${response.status}` : ""}.`, "Check that the file lies there, on the server of this page.");
  return new Uint8Array(await response.arrayBuffer());
}

async function unpacked(link: string): Promise<Uint8Array> {
  const binary = atob(link.replaceAll("-", "+").replaceAll("_", "/"));
  const deflated = Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
  return new Uint8Array(await new Response(new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate-raw"))).arrayBuffer());
}

async function start(): Promise<void> {
  const file = readCompiled(await checked(await bytesOf()));
  const about = file.about as unknown as About;
  const compiled = file.programs.find((program) => program.relaxedSimd === canFuse());
  if (!compiled) throw new Error("This network holds no kernels for this browser.");
  const program = startEngine(compiled).load(compiled);
  const inputs = about.tensors.map(({ exponent }, number) => widened(compiled.dtype, file.parts.get(`input ${number}`) ?? new Uint8Array(0), exponent));
  const open = { about, compiled, program, inputs };
  inputs.forEach((_, number) => write(number, open));
  show(open);
  place("title").textContent = document.title = about.title;
  place("drawing").replaceChildren(drawing(about, (number) => edit(number, open)));
  performance.mark("shown");
}

interface Open {
  about: About;
  compiled: Compiled;
  program: LoadedProgram;
  /** Numbers of each tensor as they are, in double precision whatever the type. */
  inputs: Float64Array[];
}

function write(number: number, { compiled, inputs, program }: Open): void {
  const { bytes, exponent } = narrowed(compiled.dtype, inputs[number] as Float64Array);
  program.write(number, bytes, exponent);
}

/** Contracts, and writes the value with its type and how far rounding can have moved it. */
function show({ about, inputs, program }: Open): void {
  program.run();
  const { bytes, log10Scale } = program.result();
  const { dtype, shape } = program.compiled;
  const width = dtype.startsWith("complex") ? 2 : 1;
  const parts = scalarsOf(dtype, bytes);
  const count = parts.length / width;
  const words = Array.from({ length: Math.min(count, SHOWN_VALUES) }, (_, number) => numberText(parts, number, width));
  const more = count > SHOWN_VALUES ? `, and ${count - SHOWN_VALUES} more` : "";
  // The power of ten belongs to every number and to both of its parts.
  const [first, last] = log10Scale === 0 ? ["", ""] : width * count > 1 ? ["(", `) × 10^${log10Scale}`] : ["", ` × 10^${log10Scale}`];
  const bound = about.rounding ? errorBound(about.rounding, dtype, inputs, parts, log10Scale) : null;
  place("bound").textContent = boundWords(dtype, bound);
  place("value").textContent = `${shape.length > 0 ? `${shape.join(" × ")}:  ` : ""}${first}${words.join("  ")}${more}${last}`;
}

function numberText(parts: Scalars, number: number, width: number): string {
  const text = (value: number) => String(Number(value.toPrecision(7)));
  const real = text(parts[number * width] ?? 0);
  if (width === 1) return real;
  const imaginary = parts[number * width + 1] ?? 0;
  return `${real} ${imaginary < 0 ? "−" : "+"} ${text(Math.abs(imaginary))}i`;
}

/** Sliders and fields for the first numbers of a tensor; the value follows at once. */
function edit(number: number, open: Open): void {
  const parts = open.inputs[number] as Float64Array;
  const rows: HTMLElement[] = [];
  const most = Math.max(1, ...Array.from(parts.subarray(0, EDITED_VALUES), Math.abs));
  const { name = "", shape = [] } = open.about.tensors[number] ?? {};
  const { dtype } = open.compiled;
  for (let element = 0; element < Math.min(parts.length, EDITED_VALUES); element += 1) {
    const label = partName(name, dtype, shape, element);
    const [slider, field] = ["range", "number"].map((type) => {
      const made = document.createElement("input");
      Object.assign(made, { type, min: String(-2 * most), max: String(2 * most), step: "any", value: String(parts[element]) });
      made.setAttribute("aria-label", label);
      return made;
    }) as [HTMLInputElement, HTMLInputElement];
    const change = (from: HTMLInputElement, other: HTMLInputElement) => () => {
      if (Number.isNaN(from.valueAsNumber)) return;
      parts[element] = from.valueAsNumber;
      other.value = from.value;
      write(number, open);
      show(open);
    };
    field.removeAttribute("min");
    field.removeAttribute("max");
    slider.oninput = change(slider, field);
    field.oninput = change(field, slider);
    const word = document.createElement("span");
    word.textContent = label;
    rows.push(word, slider, field);
  }
  place("values").replaceChildren(...rows);
  const more = (parts.length - EDITED_VALUES) / (dtype.startsWith("complex") ? 2 : 1);
  place("note").textContent = more > 0 ? `${more} more numbers of ${name} stay as they are.` : "";
}

start().catch((error: unknown) => {
  place("value").textContent = (error as Error).message || "This network could not be read.";
  place("note").textContent = (error as { hint?: string }).hint ?? "";
});
