/**
 * The text of the kernel in use: WGSL as it was given to the GPU, WebAssembly read back from its bytes.
 */

import type { KernelShapeJson, KernelsJson } from "../../protocol.ts";
import { CandidateLegend } from "./candidateLegend.tsx";
import { groupsOf, groupSteps, whereItRan } from "./kernelFacts.ts";
import { LoopTable } from "./loopTable.tsx";
import { SourceText } from "./sourceText.tsx";

const EXPLAINED = {
  wgsl: "Generated for exactly these sizes and strides: they are constants of the text, so the GPU’s compiler can unroll and fold.",
  wasm: "Generated for exactly these sizes and strides, byte by byte, then read back for you. Each v128 instruction works on 16 bytes: four float32 or two float64.",
} as const;

const READY = "One text for all sizes and strides, which it reads from a table when it runs: a kernel of its own does not pay here, or is not known yet.";

/** Kernels that are there before any shape is known: `generic gemm` on WASM, `small` on the GPU. */
function explained(candidate: string, language: keyof typeof EXPLAINED): string {
  return /^(generic|small)\b/.test(candidate) ? READY : EXPLAINED[language];
}

interface SourcePaneProps {
  kernels: KernelsJson;
  kernel: number;
  shape: KernelShapeJson;
  /** Chooses a group by its number. */
  onGroup: (group: number) => void;
}

export function SourcePane({ kernels, kernel, shape, onGroup }: SourcePaneProps) {
  return (
    <div className="tl-kernel-pane">
      <p className="tl-note">
        {whereItRan(kernel, kernels.calls)}
        {groupsOf(kernel, kernels.calls).map((number) => {
          const group = kernels.groups[number];
          return (
            group && (
              <span key={group.name}>
                {" "}
                <button type="button" className="tl-link" onClick={() => onGroup(number)}>
                  {groupSteps(group)}
                </button>{" "}
                ran as one call.
              </span>
            )
          );
        })}
      </p>
      <LoopTable shape={shape} />
      {shape.backend === "numpy" ? (
        <p className="tl-note">numpy ran this step; there is no generated kernel to show.</p>
      ) : (
        <SourceText of="kernel" number={kernel} version={`${shape.name} ${shape.inUse}`}>
          {({ candidate, language }) => (
            <>
              <p className="tl-note">
                <b>{candidate}</b>. {explained(candidate, language)}
              </p>
              <CandidateLegend texts={[candidate]} backend={shape.backend} />
            </>
          )}
        </SourceText>
      )}
    </div>
  );
}
