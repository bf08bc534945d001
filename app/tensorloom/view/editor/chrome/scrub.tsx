/**
 * A number that is changed by dragging sideways, by typing, or by the arrow keys.
 *
 * One drag is one gesture: "live" while it moves, "commit" on release, cancelled by Escape.
 */

import { type ReactNode, useEffect, useRef, useState } from "react";

/** Pixels of sideways movement per step of one; small numbers want a slow hand. */
const PIXELS_PER_STEP = 12;
const MAX_DIMENSION = 2 ** 31 - 1;

interface ScrubProps {
  value: number;
  label: string;
  className: string;
  children?: ReactNode;
  onChange: (value: number, phase: "live" | "commit") => void;
  onCancel: () => void;
  onPick?: () => void;
}

const bounded = (value: number): number => Math.min(MAX_DIMENSION, Math.max(1, Math.round(value)));

export function Scrub({ value, label, className, children, onChange, onCancel, onPick }: ScrubProps) {
  const drag = useRef<{ x: number; from: number; last: number; moved: boolean } | null>(null);
  /** What typing begins with: the number, selected, or the digit that was pressed; null while nobody types. */
  const [typing, setTyping] = useState<{ text: string; selected: boolean } | null>(null);
  const element = useRef<HTMLSpanElement>(null);

  useEffect(() => {
    const escape = (event: KeyboardEvent) => {
      if (event.key !== "Escape" || !drag.current) return;
      drag.current = null;
      event.stopPropagation();
      onCancel();
    };
    globalThis.addEventListener("keydown", escape, { capture: true });
    return () => globalThis.removeEventListener("keydown", escape, { capture: true });
  }, [onCancel]);

  if (typing) return <TypedNumber className={className} label={label} start={typing} onDone={(typed) => {
    setTyping(null);
    if (typed !== null && typed !== value) onChange(typed, "commit");
  }}>{children}</TypedNumber>;

  return (
    <span
      ref={element}
      className={className}
      role="spinbutton"
      tabIndex={0}
      aria-label={label}
      aria-valuenow={value}
      aria-valuemin={1}
      title="Drag sideways, or click to type"
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        drag.current = { x: event.clientX, from: value, last: value, moved: false };
        onPick?.();
      }}
      onPointerMove={(event) => {
        const now = drag.current;
        if (!now) return;
        const next = bounded(now.from + Math.trunc((event.clientX - now.x) / PIXELS_PER_STEP));
        if (next === now.last) return;
        drag.current = { ...now, last: next, moved: true };
        onChange(next, "live");
      }}
      onPointerUp={() => {
        const done = drag.current;
        drag.current = null;
        if (!done) return;
        if (done.moved) onChange(done.last, "commit");
        else setTyping({ text: String(value), selected: true });
      }}
      onPointerCancel={() => {
        if (drag.current?.moved) onCancel();
        drag.current = null;
      }}
      onKeyDown={(event) => {
        const step = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1 }[event.key];
        if (step !== undefined) onChange(bounded(value + step), "commit");
        else if (event.key === "Enter") setTyping({ text: String(value), selected: true });
        else if (/^\d$/.test(event.key)) setTyping({ text: event.key, selected: false });
        else return;
        event.preventDefault();
        event.stopPropagation();
      }}
    >
      {children}
      <b>{value}</b>
    </span>
  );
}

interface TypedProps {
  start: { text: string; selected: boolean };
  label: string;
  className: string;
  children?: ReactNode;
  onDone: (value: number | null) => void;
}

function TypedNumber({ start, label, className, children, onDone }: TypedProps) {
  const finished = useRef(false);
  const finish = (text: string | null) => {
    if (finished.current) return;
    finished.current = true;
    const number = text === null ? Number.NaN : Number(text.trim());
    onDone(Number.isInteger(number) && number >= 1 && number <= MAX_DIMENSION ? number : null);
  };
  return (
    <span className={className}>
      {children}
      <input
        className="tl-scrub-input"
        aria-label={label}
        inputMode="numeric"
        autoFocus
        defaultValue={start.text}
        onFocus={(event) => event.currentTarget.setSelectionRange(start.selected ? 0 : start.text.length, start.text.length)}
        onBlur={(event) => finish(event.currentTarget.value)}
        onKeyDown={(event) => {
          event.stopPropagation();
          if (event.key === "Enter") finish(event.currentTarget.value);
          if (event.key === "Escape") finish(null);
        }}
      />
    </span>
  );
}
