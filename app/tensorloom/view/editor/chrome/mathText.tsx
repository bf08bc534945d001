/**
 * Names of tensors and indices in running text, with the diagram's own letters.
 */

import { mathName, spokenName } from "../canvas/mathName.ts";

export function MathText({ name }: { name: string }) {
  const { base, subscript, conjugate, word } = mathName(name);
  return (
    <span className={word ? "tl-math is-word" : "tl-math"}>
      <span className="tl-hidden-text">{spokenName(name)}</span>
      <span className={conjugate ? "tl-math-base is-conjugate" : "tl-math-base"} aria-hidden="true">
        {base}
      </span>
      {subscript && <sub aria-hidden="true">{subscript}</sub>}
    </span>
  );
}
