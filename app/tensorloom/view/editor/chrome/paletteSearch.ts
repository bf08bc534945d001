/**
 * Finding a command by a few letters: every typed word must begin a word of the label, or, failing
 * that, its letters must occur in order. Pure.
 */

export interface Entry {
  id: string;
  label: string;
  group: string;
  keys: readonly string[];
}

/** Smaller is better; null where the text does not match. */
export function rank(label: string, typed: string): number | null {
  const words = typed.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const text = label.toLowerCase();
  if (words.length === 0) return 0;
  const parts = text.split(/[^\p{L}\p{N}]+/u);
  if (words.every((word) => parts.some((part) => part.startsWith(word)))) return text.startsWith(words[0] ?? "") ? 0 : 1;
  if (words.every((word) => text.includes(word))) return 2;
  let at = 0;
  for (const letter of words.join("")) {
    at = text.indexOf(letter, at) + 1;
    if (at === 0) return null;
  }
  return 3;
}

/** Matching entries, the best first, equals in their own order. */
export function found<T extends Entry>(entries: readonly T[], typed: string): T[] {
  return entries
    .map((entry, order) => ({ entry, order, rank: rank(entry.label, typed) }))
    .filter((row): row is typeof row & { rank: number } => row.rank !== null)
    .sort((one, other) => one.rank - other.rank || one.order - other.order)
    .map(({ entry }) => entry);
}
