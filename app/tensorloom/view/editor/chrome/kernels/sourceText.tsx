/**
 * A generated text with its caption: asked for when it is shown, long ones in two parts.
 */

import { type ReactNode, useEffect } from "react";
import type { KernelSourceOf, Notice } from "../../protocol.ts";
import { store, useEditor } from "../../store.ts";
import { grouped } from "../numbers.ts";

export type KernelSource = Extract<Notice, { kind: "kernel-source" }>;

interface SourceTextProps {
  of: KernelSourceOf;
  number: number;
  /** Changes whenever the text may have. */
  version: string;
  children: (source: KernelSource) => ReactNode;
}

export function SourceText({ of, number, version, children }: SourceTextProps) {
  const source = useEditor((state) => state.kernelSource);
  const ask = (whole: boolean) => store.request({ kind: "kernel-source", of, number, whole });
  useEffect(() => {
    ask(false);
  }, [of, number, version]);
  if (source?.of !== of || source.number !== number) return <p className="tl-note">Fetching the text.</p>;
  return (
    <>
      {children(source)}
      {!source.isWhole && (
        <p className="tl-note">
          These are the first {grouped(String(source.text.split("\n").length))} lines.{" "}
          <button type="button" className="tl-link" onClick={() => ask(true)}>
            Show all of it
          </button>
        </p>
      )}
      <pre className="tl-source" tabIndex={0} aria-label={`Text of the ${of} ${source.candidate}`}>
        {source.text}
      </pre>
    </>
  );
}
