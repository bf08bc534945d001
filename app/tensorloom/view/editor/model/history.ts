/** Undo and redo: one gesture is one step; a gesture in the air can be cancelled. */

import type { Command, DocumentJson } from "../protocol.ts";
import { applyAll, invertAll } from "./reducer.ts";

export interface GestureStep {
  label: string;
  forward: Command[];
  back: Command[];
}

export interface History {
  readonly document: DocumentJson;
  readonly past: readonly GestureStep[];
  readonly future: readonly GestureStep[];
  /** The document before the gesture in the air, and what it did so far. */
  readonly held: { readonly before: DocumentJson; readonly label: string; readonly forward: readonly Command[] } | null;
}

const MOST_STEPS = 500;

export function newHistory(document: DocumentJson): History {
  return { document, past: [], future: [], held: null };
}

/** A live step replaces the gesture's former live steps: each carries the whole change so far. */
export function live(history: History, label: string, commands: readonly Command[]): History {
  const before = history.held?.before ?? history.document;
  return { ...history, document: applyAll(before, commands), held: { before, label, forward: commands } };
}

export function commit(history: History, label: string, commands: readonly Command[]): History {
  const before = history.held?.before ?? history.document;
  const document = applyAll(before, commands);
  const step = { label, forward: [...commands], back: invertAll(before, commands) };
  return { document, past: [...history.past, step].slice(-MOST_STEPS), future: [], held: null };
}

/** Like `commit`, but part of the last step where that has the same label: one burst of typing. */
export function amend(history: History, label: string, commands: readonly Command[]): History {
  const last = history.past.at(-1);
  if (!last || last.label !== label || history.held) return commit(history, label, commands);
  const document = applyAll(history.document, commands);
  const step = { label, forward: [...last.forward, ...commands], back: [...invertAll(history.document, commands), ...last.back] };
  return { document, past: [...history.past.slice(0, -1), step], future: [], held: null };
}

export function cancel(history: History): History {
  return history.held ? { ...history, document: history.held.before, held: null } : history;
}

export function undo(history: History): { history: History; step: GestureStep } | null {
  const settled = cancel(history);
  const step = settled.past.at(-1);
  if (!step) return null;
  const document = applyAll(settled.document, step.back);
  return { step, history: { ...settled, document, past: settled.past.slice(0, -1), future: [step, ...settled.future] } };
}

export function redo(history: History): { history: History; step: GestureStep } | null {
  const settled = cancel(history);
  const [step, ...future] = settled.future;
  if (!step) return null;
  const document = applyAll(settled.document, step.forward);
  return { step, history: { ...settled, document, past: [...settled.past, step], future } };
}
