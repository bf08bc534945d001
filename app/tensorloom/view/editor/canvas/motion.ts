/**
 * Movement that is seen: when tensors get new places by undo, a layout or a file, they glide there.
 *
 * Only what really moved moves; nothing does when the system asks for reduced motion, during a drag,
 * or in big drawings.
 */

import { useLayoutEffect, useRef, useState } from "react";
import { own } from "../model/checks.ts";
import type { DocumentJson } from "../protocol.ts";
import { BIG } from "./scene.ts";

const DURATION_MS = 150;

/** The document as it is drawn now; `still` while the pointer itself moves things. */
export function useMotion(document: DocumentJson, still: boolean): DocumentJson {
  const [gliding, setGliding] = useState<DocumentJson | null>(null);
  const drawn = useRef(document);
  // Before the paint, so that nothing is seen at its new place before it glides there.
  useLayoutEffect(() => {
    const from = drawn.current;
    const reduced = globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches ?? false;
    if (still || reduced || document.tensors.length > BIG || !hasMoved(from, document)) {
      drawn.current = document;
      setGliding(null);
      return undefined;
    }
    const started = performance.now();
    let frame = 0;
    const step = (now: number) => {
      const t = Math.min(1, Math.max(0, (now - started) / DURATION_MS));
      drawn.current = t < 1 ? blended(from, document, 1 - (1 - t) ** 3) : document;
      setGliding(t < 1 ? drawn.current : null);
      if (t < 1) frame = requestAnimationFrame(step);
    };
    step(started);
    return () => cancelAnimationFrame(frame);
  }, [document, still]);
  return gliding ?? document;
}

function hasMoved(from: DocumentJson, to: DocumentJson): boolean {
  return to.tensors.some(({ id }) => {
    const [before, after] = [own(from.marks, id), own(to.marks, id)];
    return before !== undefined && after !== undefined && Math.abs(before.x - after.x) + Math.abs(before.y - after.y) > 1;
  });
}

/** `to` with marks and anchors part of the way from where `from` has them. */
export function blended(from: DocumentJson, to: DocumentJson, t: number): DocumentJson {
  const mix = (one: number, other: number) => one + (other - one) * t;
  const marks = Object.fromEntries(
    Object.entries(to.marks).map(([id, mark]) => {
      const before = own(from.marks, id);
      return [id, before ? { ...mark, x: mix(before.x, mark.x), y: mix(before.y, mark.y) } : mark];
    }),
  );
  const anchors = Object.fromEntries(
    Object.entries(to.anchors).map(([name, at]): [string, [number, number]] => {
      const before = own(from.anchors, name);
      return [name, before ? [mix(before[0], at[0]), mix(before[1], at[1])] : at];
    }),
  );
  return { ...to, marks, anchors };
}
