/**
 * How an array with many axes becomes a picture: which indices make its rows, which its columns, and
 * at which value the others are held. Pure.
 */

export interface View {
  rows: string[];
  columns: string[];
  fixed: Record<string, number>;
}

export type Role = "rows" | "columns" | "fixed";

export function roleOf(view: View, name: string): Role {
  if (view.rows.includes(name)) return "rows";
  return view.columns.includes(name) ? "columns" : "fixed";
}

/** The view with one index in another role; a fixed one starts at its first value. */
export function withRole(view: View, name: string, role: Role): View {
  const without = (names: readonly string[]) => names.filter((other) => other !== name);
  const { [name]: held = 0, ...others } = view.fixed;
  return {
    rows: role === "rows" ? [...without(view.rows), name] : without(view.rows),
    columns: role === "columns" ? [...without(view.columns), name] : without(view.columns),
    fixed: role === "fixed" ? { ...others, [name]: held } : others,
  };
}

export function withValue(view: View, name: string, value: number): View {
  return { ...view, fixed: { ...view.fixed, [name]: value } };
}

/** Values held beyond a dimension that has shrunk come back to its last. */
export function within(view: View, dimensions: Readonly<Record<string, number>>): View {
  const fixed = Object.entries(view.fixed).map(([name, value]): [string, number] => [name, Math.max(0, Math.min(value, (dimensions[name] ?? 1) - 1))]);
  return { ...view, fixed: Object.fromEntries(fixed) };
}
