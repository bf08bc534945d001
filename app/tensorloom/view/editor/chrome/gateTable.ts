/**
 * Gates and basis states that the recipe chooser offers: twin of `tensorloom/model/gates.py`.
 *
 * `tests/unit/view/test_twin_tables.py` compares the two, reading the rows of this file as they stand.
 */

export interface GateEntry {
  name: string;
  qubits: number;
  parameters: number;
  axes: number;
}

const rows = (qubits: number, parameters: number, names: string): GateEntry[] =>
  names.split(" ").map((name) => ({ name, qubits, parameters, axes: 2 * qubits }));

export const GATES: readonly GateEntry[] = [
  ...rows(1, 0, "id x y z h s sdg t tdg sx sxdg"),
  ...rows(1, 1, "u0 u1 p rx ry rz"),
  ...rows(1, 2, "u2"),
  ...rows(1, 3, "u3 u"),
  ...rows(2, 0, "cx cy cz ch csx swap"),
  ...rows(2, 1, "crx cry crz cu1 cp rxx rzz"),
  ...rows(2, 3, "cu3"),
  ...rows(2, 4, "cu"),
  ...rows(3, 0, "ccx cswap rccx"),
  ...rows(4, 0, "c3x c3sqrtx rc3x"),
  ...rows(5, 0, "c4x"),
  ...["ket0", "ket1", "bra0", "bra1"].map((name) => ({ name, qubits: 1, parameters: 0, axes: 1 })),
];

/** A gate with so many controls in front; a basis state has none. */
export interface GateChoice extends GateEntry {
  controls: number;
}

/** More controls are not offered, though a document may hold them. */
const MOST_CONTROLS = 4;

/** Gates whose array has these sizes: all of them 2, one per control and axis; those with fewest controls first. */
export function gatesFor(shape: readonly number[]): readonly GateChoice[] {
  if (!shape.every((size) => size === 2)) return [];
  const choices = GATES.map((gate) => ({ ...gate, controls: shape.length - gate.axes }));
  const fitting = choices.filter(({ axes, controls }) => controls >= 0 && controls <= (axes === 1 ? 0 : MOST_CONTROLS));
  return fitting.sort((one, other) => one.controls - other.controls);
}

/** `x`, `rx with 1 control`, `x with 2 controls`. */
export const gateWords = (name: string, controls: number): string => (controls === 0 ? name : `${name} with ${controls} control${controls === 1 ? "" : "s"}`);
