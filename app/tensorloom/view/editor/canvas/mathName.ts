/**
 * A name as mathematics: italic base, upright subscript, overline for a conjugate.
 *
 * `A_1`, `A1` and `A_{1}` read as A with subscript 1; a trailing `*` (also before the subscript) or
 * a macron is a conjugate; names of Greek letters become the letter. Names never become markup.
 */

import { own } from "../model/checks.ts";

export interface MathName {
  base: string;
  subscript: string;
  conjugate: boolean;
  /** More than two letters: a word, set upright and small. */
  word: boolean;
}

const GREEK: Record<string, string> = {
  alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ε", zeta: "ζ", eta: "η", theta: "θ", iota: "ι", kappa: "κ", lambda: "λ", mu: "μ",
  nu: "ν", xi: "ξ", pi: "π", rho: "ρ", sigma: "σ", tau: "τ", upsilon: "υ", phi: "φ", chi: "χ", psi: "ψ", omega: "ω",
  Gamma: "Γ", Delta: "Δ", Theta: "Θ", Lambda: "Λ", Xi: "Ξ", Pi: "Π", Sigma: "Σ", Phi: "Φ", Psi: "Ψ", Omega: "Ω",
};

const LONGEST = 14;
/** A star at the end or before the subscript, or a macron or overline that combines with a letter. */
const CONJUGATE = /\*(?=$|_)|[\u0304\u0305]/;

export function mathName(name: string): MathName {
  const spread = name.normalize("NFD");
  const conjugate = CONJUGATE.test(spread);
  const plain = conjugate ? spread.replace(CONJUGATE, "").normalize("NFC") : name;
  const parts = /^(.+?)_\{?([^{}]*)\}?$/.exec(plain) ?? /^(\D+?)(\d+)$/.exec(plain);
  const base = parts?.[1] || plain || name;
  const letter = own(GREEK, base) ?? base;
  const subscript = parts?.[2] ?? "";
  return { base: shortened(letter), subscript: shortened(subscript), conjugate, word: [...letter].length > 2 };
}

/** Roughly how wide the name is when its base is set at `size` [px]. */
export function nameWidth(name: MathName, size: number): number {
  const per = name.word ? 0.42 : /^[A-Z]/.test(name.base) ? 0.72 : 0.54;
  return [...name.base].length * per * size + [...name.subscript].length * 0.36 * size;
}

/** The name as plain words for screen readers and the live region. */
export function spokenName(name: string): string {
  const { base, subscript, conjugate } = mathName(name);
  return [base, subscript, conjugate ? "conjugate" : ""].filter(Boolean).join(" ");
}

function shortened(text: string): string {
  const letters = [...text];
  return letters.length > LONGEST ? `${letters.slice(0, LONGEST - 1).join("")}…` : text;
}
