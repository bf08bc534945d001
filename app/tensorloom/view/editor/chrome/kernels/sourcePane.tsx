/**
 * The text of the kernel in use: WGSL as it was given to the GPU, WebAssembly read back from its bytes.
 */

import { useEffect } from "react";
import type { KernelShapeJson, KernelsJson } from "../../protocol.ts";
import { store, useEditor } from "../../store.ts";
import { CandidateLegend } from "./candidateLegend.tsx";
import { whereItRan } from "./kernelFacts.ts";
import { LoopTable } from "./loopTable.tsx";

const EXPLAINED = {
  wgsl: "Generated for exactly these sizes and strides: they are constants of the text, so the GPU's compiler can unroll and fold.",
  wasm: "Generated for exactly these sizes and strides, byte by byte, then read back for you. Each v128 instruction works on 16 bytes: four float32 or two float64.",
} as const;

const READY = "One text for all sizes and strides, which it reads from a table when it runs: a kernel of its own does not pay here, or is not known yet.";

/** Kernels that are there before any shape is known: `generic gemm` on WASM, `small` on the GPU. */
function explained(candidate: string, language: keyof typeof EXPLAINED): string {
  return /^(generic|small)\b/.test(candidate) ? READY : EXPLAINED[language];
}

export function SourcePane({ kernels, kernel, shape }: { kernels: KernelsJson; kernel: number; shape: KernelShapeJson }) {
  const source = useEditor((state) => state.kernelSource);
  useEffect(() => {
    store.request({ kind: "kernel-source", kernel });
  }, [kernel, shape.name, shape.inUse]);
  const shown = source?.kernel === kernel ? source : null;
  return (
    <div className="tl-kernel-pane">
      <p className="tl-note">{whereItRan(kernel, kernels.calls)}</p>
      <LoopTable shape={shape} />
      {shape.backend === "numpy" ? (
        <p className="tl-note">numpy ran this step; there is no generated kernel to show.</p>
      ) : (
        <>
          <p className="tl-note">
            {shown ? (
              <>
                <b>{shown.candidate}</b>. {explained(shown.candidate, shown.language)}
              </>
            ) : (
              "Fetching the text."
            )}
          </p>
          {shown && <CandidateLegend texts={[shown.candidate]} backend={shape.backend} />}
          {shown && (
            <pre className="tl-source" tabIndex={0} aria-label={`Text of the kernel ${shown.candidate}`}>
              {shown.text}
            </pre>
          )}
        </>
      )}
    </div>
  );
}
