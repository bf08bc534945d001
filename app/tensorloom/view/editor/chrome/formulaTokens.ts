/**
 * The equation text as drawn pieces, and what the caret stands on. Pure; no DOM.
 */

import type { EquationSpan } from "../protocol.ts";

export interface Piece {
  text: string;
  start: number;
  index: string | null;
  tensor: string | null;
  /** The arrow is drawn as one glyph over two characters. */
  arrow: boolean;
  wrong: boolean;
}

/** Cuts the text at span borders, at the arrow and at the error, in order, losing no character. */
export function pieces(text: string, spans: readonly EquationSpan[], wrong: readonly [number, number] | null): Piece[] {
  const cuts = new Set<number>([0, text.length]);
  const indexSpans = spans.filter((span) => span.index !== null && span.end <= text.length);
  for (const span of indexSpans) cuts.add(span.start).add(span.end);
  const arrow = text.indexOf("->");
  if (arrow >= 0) cuts.add(arrow).add(arrow + 2);
  if (wrong) {
    cuts.add(Math.min(wrong[0], text.length));
    cuts.add(Math.min(Math.max(wrong[1], wrong[0] + 1), text.length));
  }
  const borders = [...cuts].sort((one, other) => one - other);
  const startsAt = new Map(indexSpans.map((span) => [span.start, span]));
  return borders.slice(0, -1).map((start, order) => {
    const end = borders[order + 1] ?? text.length;
    const span = startsAt.get(start);
    return {
      text: text.slice(start, end),
      start,
      index: span?.index ?? null,
      tensor: span?.tensor ?? null,
      arrow: start === arrow,
      wrong: wrong !== null && start >= wrong[0] && start < Math.max(wrong[1], wrong[0] + 1),
    };
  });
}

/** The index the caret touches: the one it stands in or before, else the one just left of it. */
export function indexAt(spans: readonly EquationSpan[], caret: number): EquationSpan | null {
  const indexSpans = spans.filter((span) => span.index !== null);
  return (
    indexSpans.find((span) => span.start <= caret && caret < span.end) ??
    indexSpans.find((span) => span.end === caret) ??
    null
  );
}

/** One chip of the size bar: one index, or several that share a dimension. */
export interface SizeChip {
  names: string[];
  dimension: number;
  label: string;
}

/**
 * At most `room` chips: the selected indices and the first ones alone, the rest by dimension.
 */
export function sizeChips(dimensions: Readonly<Record<string, number>>, selected: ReadonlySet<string>, room: number): SizeChip[] {
  const names = Object.keys(dimensions);
  const single = (name: string): SizeChip => ({ names: [name], dimension: dimensions[name] ?? 1, label: name });
  if (names.length <= room) return names.map(single);
  const alone = new Set([...names.filter((name) => selected.has(name)).slice(0, 2), ...names.slice(0, Math.max(1, room - 3))]);
  const groups = new Map<number, string[]>();
  for (const name of names) {
    if (alone.has(name)) continue;
    const dimension = dimensions[name] ?? 1;
    groups.set(dimension, [...(groups.get(dimension) ?? []), name]);
  }
  const bySize = [...groups].sort(([, one], [, other]) => other.length - one.length);
  const shown = bySize.slice(0, 3).map(([dimension, members]) => ({
    names: members,
    dimension,
    label: members.length === 1 ? (members[0] ?? "") : `${members.length} more`,
  }));
  return [...names.filter((name) => alone.has(name)).map(single), ...shown];
}
