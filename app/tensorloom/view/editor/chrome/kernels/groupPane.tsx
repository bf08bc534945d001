/**
 * A group of small steps: why they ran as one call, which function is which step, and the module's text.
 */

import type { KernelGroupJson, KernelsJson } from "../../protocol.ts";
import { bytes } from "../numbers.ts";
import { groupSteps, sizes, stepList } from "./kernelFacts.ts";
import { SourceText } from "./sourceText.tsx";

interface GroupPaneProps {
  kernels: KernelsJson;
  number: number;
  group: KernelGroupJson;
  /** Chooses a kernel by its number. */
  onKernel: (kernel: number) => void;
}

export function GroupPane({ kernels, number, group, onKernel }: GroupPaneProps) {
  const kinds = group.functions.length;
  return (
    <div className="tl-kernel-pane">
      <p className="tl-note">
        {groupSteps(group)} of the contraction, in one call on WASM. To look up the kernel of a step this small takes longer than the step, so all of this was written into one module: {kinds === 1 ? "a function for its one kind" : `a function for each of ${kinds} kinds`} of
        product, and <i>kernel</i>, which calls them in order. New numbers need no new module: it finds each tensor through a table of addresses.
      </p>
      <FunctionTable kernels={kernels} number={number} group={group} onKernel={onKernel} />
      <SourceText of="group" number={number} version={group.name}>
        {(source) => (
          <p className="tl-note">
            {source.bytes !== null && <b>{bytes(source.bytes)} of code. </b>}
            Generated for exactly these steps, compared with kernels that are trusted, then read back for you. Functions $0 to $2 look whether numbers became too large or too small for the type; then the steps run again one by one.
          </p>
        )}
      </SourceText>
    </div>
  );
}

function FunctionTable({ kernels, number, group, onKernel }: GroupPaneProps) {
  return (
    <div className="tl-wide is-functions" tabIndex={0} aria-label="Functions of the group">
      <table className="tl-loops is-functions">
        <caption>Each product as rows × columns × summed. The text calls each function by its number.</caption>
        <thead>
          <tr>
            <th scope="col">function</th>
            <th scope="col">product</th>
            <th scope="col">steps</th>
          </tr>
        </thead>
        <tbody>
          {group.functions.map((one) => {
            const shape = one.kernel === null ? undefined : kernels.shapes[one.kernel];
            const steps = kernels.calls.filter((call) => call.group === number && call.kernel === one.kernel).map((call) => call.step);
            return (
              <tr key={one.number}>
                <th scope="row">${one.number}</th>
                <td>
                  {shape ? (
                    <button type="button" className="tl-link" onClick={() => onKernel(one.kernel ?? 0)}>
                      {sizes(shape)}
                    </button>
                  ) : (
                    "one of those not listed"
                  )}
                </td>
                <td>{shape ? stepList(steps) : "–"}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
