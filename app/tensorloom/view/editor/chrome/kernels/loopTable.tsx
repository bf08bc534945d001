/**
 * The loops of a kernel: which legs became rows, columns, batch and sum, and how each operand is walked.
 */

import type { KernelShapeJson } from "../../protocol.ts";
import { ROLE_WORDS } from "./kernelFacts.ts";

export function LoopTable({ shape }: { shape: KernelShapeJson }) {
  return (
    <div className="tl-wide">
      <table className="tl-loops">
        <caption>
          Each leg became one loop; legs that lie side by side in memory were joined into one. Strides say how far apart neighbours are, in numbers; a dash means that the tensor lacks the leg.
        </caption>
        <thead>
          <tr>
            <th scope="col">loop</th>
            <th scope="col">size</th>
            <th scope="col">left</th>
            <th scope="col">right</th>
            <th scope="col">result</th>
          </tr>
        </thead>
        <tbody>
          {shape.groups.map(({ role, size, left, right, out }, place) => (
            <tr key={place} data-role={role}>
              <th scope="row" title={ROLE_WORDS[role].explained}>
                {ROLE_WORDS[role].label}
              </th>
              <td>{size}</td>
              {[left, right, out].map((stride, side) => (
                <td key={side}>{stride === 0 ? "–" : stride}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
