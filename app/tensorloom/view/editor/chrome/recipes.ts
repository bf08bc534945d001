/**
 * Array recipes as choices: which ones a shape allows, what a new one starts from, and the text form
 * of a few numbers. Pure.
 */

import type { RecipeJson } from "../protocol.ts";
import { type GateChoice, gatesFor, gateWords } from "./gateTable.ts";

export type RecipeKind = RecipeJson["kind"];
export type GateRecipe = Extract<RecipeJson, { kind: "gate" }>;

export const RECIPE_WORDS: Readonly<Record<RecipeKind, string>> = {
  random: "Random",
  constant: "Constant",
  identity: "Identity",
  copy: "Copy",
  gate: "Gate or basis state",
  inline: "Numbers typed here",
  blob: "Numbers from a file",
};

/** Most numbers a document may hold in itself; more belong into a file. */
export const MAX_INLINE = 65_536;
/** More than this is no longer pleasant to type. */
export const MAX_TYPED = 1024;

export const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Why a kind does not fit a shape, or null where it does. */
export function obstacle(kind: RecipeKind, shape: readonly number[]): string | null {
  switch (kind) {
    case "random":
    case "constant":
    case "copy":
    case "blob":
      return null;
    case "identity": {
      const half = shape.length / 2;
      const square = Number.isInteger(half) && elements(shape.slice(0, half)) === elements(shape.slice(half));
      return square ? null : "needs two halves of equal size";
    }
    case "gate":
      return gatesFor(shape).length > 0 ? null : "needs axes of dimension 2";
    case "inline":
      return elements(shape) <= MAX_TYPED ? null : `at most ${MAX_TYPED} numbers`;
    default:
      return kind satisfies never;
  }
}

/** A new recipe of a kind; null for files, which must be opened first. */
export function freshRecipe(kind: RecipeKind, shape: readonly number[], complex: boolean, seed: number): RecipeJson | null {
  switch (kind) {
    case "random":
      return { kind, seed, distribution: complex ? "complex-normal" : "normal" };
    case "constant":
      return { kind, value: 1 };
    case "identity":
    case "copy":
      return { kind };
    case "gate": {
      const gate = gatesFor(shape)[0];
      return gate ? withGate({ kind, name: gate.name, parameters: [], conjugate: false }, gate) : null;
    }
    case "inline":
      return { kind, values: new Array<number>(elements(shape)).fill(0), shape: [...shape], complex: false };
    case "blob":
      return null;
    default:
      return kind satisfies never;
  }
}

/** Another gate with the angles of this one, as far as it takes as many, and 0 for the others. */
export function withGate({ controls: _, ...recipe }: GateRecipe, gate: Pick<GateChoice, "name" | "parameters" | "controls">): RecipeJson {
  const parameters = Array.from({ length: gate.parameters }, (_, order) => recipe.parameters[order] ?? 0);
  return { ...recipe, name: gate.name, parameters, ...(gate.controls > 0 && { controls: gate.controls }) };
}

/** In a row of the card: `seed 7, normal`, `2`, `rx(0.5)`. */
export function recipeWords(recipe: RecipeJson): string {
  switch (recipe.kind) {
    case "random":
      return `seed ${recipe.seed}, ${recipe.distribution.replace("-", " ")}`;
    case "constant":
      return String(recipe.value);
    case "identity":
    case "copy":
      return RECIPE_WORDS[recipe.kind].toLowerCase();
    case "gate":
      return gateWords(`${recipe.name}${recipe.parameters.length > 0 ? `(${recipe.parameters.map((angle) => String(Math.round(angle * 1e4) / 1e4)).join(", ")})` : ""}${recipe.conjugate ? "*" : ""}`, recipe.controls ?? 0);
    case "inline":
      return `${recipe.values.length / (recipe.complex ? 2 : 1)} typed`;
    case "blob":
      return `${recipe.shape.join(" × ") || "scalar"} from a file`;
    default:
      return recipe satisfies never;
  }
}

const NUMBER = "[+-]?(?:\\d+\\.?\\d*|\\.\\d+)(?:e[+-]?\\d+)?";
const PLAIN = new RegExp(`^${NUMBER}$`, "i");
const IMAGINARY = new RegExp(`^(${NUMBER}|[+-]?)[ij]$`, "i");
const BOTH = new RegExp(`^(${NUMBER})([+-](?:(?:\\d+\\.?\\d*|\\.\\d+)(?:e[+-]?\\d+)?)?)[ij]$`, "i");

const unit = (text: string): number => (text === "" || text === "+" ? 1 : text === "-" ? -1 : Number(text));

/** One number, real or complex such as `1-2i`; null where it is none. */
export function readNumber(text: string): [number, number] | null {
  const plain = text.replaceAll("−", "-");
  if (PLAIN.test(plain)) return [Number(plain), 0];
  const imaginary = IMAGINARY.exec(plain);
  if (imaginary) return [0, unit(imaginary[1] ?? "")];
  const both = BOTH.exec(plain);
  return both ? [Number(both[1]), unit(both[2] ?? "")] : null;
}

/** Numbers separated by blanks, commas or brackets, in C order; an error sentence otherwise. */
export function readNumbers(text: string, shape: readonly number[]): RecipeJson | string {
  const words = text.split(/[\s,;[\](){}]+/).filter((word) => word !== "");
  const numbers: [number, number][] = [];
  for (const word of words) {
    const number = readNumber(word);
    if (!number?.every(Number.isFinite)) return `“${word.slice(0, 20)}” is not a number.`;
    numbers.push(number);
  }
  const wanted = elements(shape);
  if (numbers.length !== wanted) return `${wanted} numbers are needed, ${numbers.length} are here.`;
  const complex = numbers.some(([, im]) => im !== 0);
  const values = complex ? numbers.flat() : numbers.map(([re]) => re);
  return { kind: "inline", values, shape: [...shape], complex };
}

/** The numbers as text, one line per last axis. */
export function writeNumbers(recipe: Extract<RecipeJson, { kind: "inline" }>): string {
  const step = recipe.complex ? 2 : 1;
  const words = Array.from({ length: recipe.values.length / step }, (_, order) => {
    const re = recipe.values[order * step] ?? 0;
    const im = recipe.complex ? (recipe.values[order * step + 1] ?? 0) : 0;
    return im === 0 ? String(re) : `${re}${im < 0 || Object.is(im, -0) ? "" : "+"}${im}i`;
  });
  const width = recipe.shape.at(-1) || 1;
  const lines = Array.from({ length: Math.ceil(words.length / width) }, (_, row) => words.slice(row * width, (row + 1) * width).join(" "));
  return lines.join("\n");
}
