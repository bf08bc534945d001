/**
 * The einsum, live both ways, and the sizes as chips that scrub.
 *
 * A transparent input lies on a drawn copy of its text in the same font: the browser keeps caret,
 * selection, input methods and undo, the copy carries tints, the arrow glyph and the error mark.
 */

import { useEffect, useMemo, useRef, useState } from "react";
import { store, useEditor } from "../store.ts";
import { indexAt, pieces, sizeChips } from "./formulaTokens.ts";
import { MathText } from "./mathText.tsx";
import { Scrub } from "./scrub.tsx";

export function FormulaBar() {
  return (
    <section className="tl-formula" aria-label="Equation and sizes">
      <EquationField />
      <SizeChips />
    </section>
  );
}

function EquationField() {
  const equation = useEditor((state) => state.equation);
  const selected = useEditor((state) => state.selection.indices);
  const hovered = useEditor((state) => state.hover?.index ?? null);
  const [typed, setTyped] = useState<string | null>(null);
  const input = useRef<HTMLInputElement>(null);
  const [scroll, setScroll] = useState(0);
  const text = typed ?? equation?.text ?? "";
  const current = typed === null || typed === equation?.text;
  // Python's answer to an older text says nothing about the letters typed since.
  const spans = useMemo(() => (current ? (equation?.spans ?? []) : []), [current, equation]);
  const error = current ? (equation?.error ?? null) : null;
  const tinted = useMemo(() => spans.filter(({ index }) => index !== null && (selected.has(index) || index === hovered)), [spans, selected, hovered]);
  const drawn = useMemo(() => pieces(text, tinted, error?.where.span ?? null), [text, tinted, error]);
  const lastGood = useRef("");

  useEffect(() => {
    if (!equation || equation.error) return;
    lastGood.current = equation.text;
    // The diagram changed elsewhere: follow it, unless the user is typing.
    if (!input.current?.matches(":focus")) setTyped(null);
  }, [equation]);

  const giveUp = () => {
    setTyped(null);
    if (equation?.error) store.request({ kind: "equation", text: lastGood.current });
  };

  const followCaret = () => {
    const field = input.current;
    if (!field) return;
    setScroll(field.scrollLeft);
    if (!field.matches(":focus")) return;
    const touched = indexAt(spans, field.selectionStart ?? 0);
    if (touched?.index) store.select({ tensors: [], indices: [touched.index] });
  };

  return (
    <div className="tl-equation">
      <div className="tl-equation-window" aria-hidden="true">
        <div className="tl-equation-copy" style={{ transform: `translateX(${-scroll}px)` }}>
          {drawn.map((piece) => (
            <span
              key={piece.start}
              className={[
                piece.index !== null && selected.has(piece.index) ? "is-selected" : "",
                piece.index !== null && piece.index === hovered ? "is-hovered" : "",
                piece.arrow ? "is-arrow" : "",
                piece.wrong ? "is-wrong" : "",
              ].join(" ")}
            >
              {piece.text}
            </span>
          ))}
        </div>
      </div>
      <input
        ref={input}
        className="tl-equation-input"
        aria-label="Equation (einsum). Index names, operands separated by commas, then an arrow and the open indices"
        aria-invalid={error !== null}
        aria-describedby={error ? "tl-equation-error" : undefined}
        spellCheck={false}
        autoComplete="off"
        value={text}
        placeholder="Type an einsum, such as ij,jk->ik"
        onChange={(event) => {
          setTyped(event.target.value);
          store.request({ kind: "equation", text: event.target.value });
        }}
        // React's onSelect compares with the document's active element, which is the shadow host.
        onKeyUp={followCaret}
        onClick={followCaret}
        onScroll={followCaret}
        onKeyDown={(event) => {
          event.stopPropagation();
          if (event.key === "Escape") giveUp();
          if (event.key === "Escape" || event.key === "Enter") event.currentTarget.blur();
        }}
        onBlur={() => {
          if (!error) setTyped(null);
        }}
      />
      {error && (
        <div className="tl-equation-error" id="tl-equation-error" role="status">
          {error.message} <span>{error.hint}</span>
        </div>
      )}
    </div>
  );
}

function SizeChips() {
  const dimensions = useEditor((state) => state.document.dimensions);
  const selected = useEditor((state) => state.selection.indices);
  const chips = useMemo(() => sizeChips(dimensions, selected, 6), [dimensions, selected]);
  return (
    <div className="tl-chips">
      {chips.map((chip) => (
        <Scrub
          key={chip.names.join(" ")}
          className={chip.names.some((name) => selected.has(name)) ? "tl-chip is-selected" : "tl-chip"}
          label={chip.names.length === 1 ? `Dimension of ${chip.label}` : `Dimension of ${chip.names.length} indices`}
          value={chip.dimension}
          onPick={() => store.select({ tensors: [], indices: chip.names })}
          onChange={(dimension, phase) =>
            store.dispatch(
              "Set dimension",
              chip.names.map((name) => ({ kind: "set-dimension" as const, name, dimension })),
              phase,
            )
          }
          onCancel={() => store.cancelGesture()}
        >
          {chip.names.length === 1 ? <MathText name={chip.label} /> : <span>{chip.label}</span>}
        </Scrub>
      ))}
    </div>
  );
}
