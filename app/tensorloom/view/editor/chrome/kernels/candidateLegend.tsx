/**
 * What the words in candidates' names mean: the same words that the database and the saved file hold.
 */

import type { KernelShapeJson } from "../../protocol.ts";
import { legend } from "./candidateWords.ts";

export function CandidateLegend({ texts, backend }: { texts: readonly string[]; backend: KernelShapeJson["backend"] }) {
  const words = legend(texts, backend);
  if (words.length === 0) return null;
  return (
    <dl className="tl-legend">
      {words.map(({ word, means }) => (
        <div key={means}>
          <dt>{word}</dt>
          <dd>{means}</dd>
        </div>
      ))}
    </dl>
  );
}
