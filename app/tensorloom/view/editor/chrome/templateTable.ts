/**
 * The templates and their sizes: twin of `tensorloom/formats/templates.py`.
 *
 * `tests/unit/view/test_template_table.py` compares the two tables.
 */

export interface TemplateParameter {
  name: string;
  label: string;
  default: number;
  least: number;
  most: number;
}

export interface Template {
  name: string;
  label: string;
  /** What it is, in one line. */
  about: string;
  parameters: readonly TemplateParameter[];
}

const parameter = (name: string, label: string, value: number, least: number, most: number): TemplateParameter => ({ name, label, default: value, least, most });

const sites = (value: number, most = 200) => parameter("n", "Sites", value, 2, most);
const bond = (value: number) => parameter("chi", "Bond dimension", value, 1, 4096);
const physical = parameter("d", "Physical dimension", 2, 1, 64);

export const TEMPLATES: readonly Template[] = [
  { name: "mps", label: "MPS", about: "Matrix product state, a chain with open legs", parameters: [sites(8), bond(4), physical] },
  { name: "mpo", label: "MPO", about: "Matrix product operator, legs up and down", parameters: [sites(6), bond(4), physical] },
  { name: "peps", label: "PEPS", about: "A grid of tensors with one open leg each", parameters: [parameter("rows", "Rows", 3, 1, 30), parameter("columns", "Columns", 4, 1, 30), bond(2), physical] },
  { name: "ttn", label: "TTN", about: "Tree tensor network, a binary tree", parameters: [parameter("depth", "Depth", 3, 1, 8), bond(4), physical] },
  { name: "mera", label: "MERA", about: "Disentanglers and isometries, layer by layer", parameters: [sites(8, 64), bond(2)] },
  { name: "ring", label: "Ring", about: "A closed chain, periodic matrix product state", parameters: [sites(8), bond(4), physical] },
  { name: "circuit", label: "Circuit", about: "Random gates on qubits, left to right", parameters: [parameter("qubits", "Qubits", 5, 1, 64), parameter("depth", "Depth", 6, 1, 100), parameter("seed", "Seed", 1, 0, 1_000_000)] },
];
