/** JavaScript objects that Python holds when the snapshot is made, by a name instead of their code. */

/** Panel's converter of Python dicts (`panel.io.pyodide`), which it makes from text. */
function nullForUndefined(entries: Iterable<[string, unknown]>): object {
  return Object.fromEntries([...entries].map(([key, value]) => [key, value === undefined ? null : value]));
}

const PANELS_OWN = "(entries) => { for (let entry of entries) { if (entry[1] === undefined) { entry[1] = null; } } return Object.fromEntries(entries); }";

type Reference = "panel-converter" | "undefined";

/** The name of an object; throws for one that could not be found again. */
export function serialize(value: unknown): Reference {
  if (value === undefined) return "undefined";
  const text = String(value).replace(/\s+/g, " ").trim();
  if (text === PANELS_OWN) return "panel-converter";
  throw new Error(`Python holds a JavaScript object that a snapshot cannot name: ${text.slice(0, 300)}`);
}

export function deserialize(reference: Reference): unknown {
  return reference === "panel-converter" ? nullForUndefined : undefined;
}
