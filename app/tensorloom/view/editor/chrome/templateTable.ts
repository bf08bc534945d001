/**
 * The templates and their sizes: twin of `tensorloom/formats/templates.py`.
 *
 * `tests/unit/view/test_twin_tables.py` compares the two, reading the rows of this file as they stand.
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

const SEED = parameter("seed", "Seed", 1, 0, 2147483648);

export const TEMPLATES: readonly Template[] = [
  {
    name: "mps",
    label: "MPS",
    about: "Matrix product state, a chain with open legs",
    parameters: [parameter("n", "Sites", 6, 2, 400), parameter("chi", "Bond dimension χ", 8, 1, 4096), parameter("d", "Physical dimension d", 2, 1, 64), SEED],
  },
  {
    name: "mpo",
    label: "MPO",
    about: "Matrix product operator, legs up and down",
    parameters: [parameter("n", "Sites", 6, 2, 400), parameter("chi", "Bond dimension χ", 5, 1, 1024), parameter("d", "Physical dimension d", 2, 1, 64), SEED],
  },
  {
    name: "peps",
    label: "PEPS",
    about: "A grid of tensors with one open leg each",
    parameters: [parameter("rows", "Rows", 3, 1, 40), parameter("columns", "Columns", 4, 1, 40), parameter("chi", "Bond dimension χ", 3, 1, 256), parameter("d", "Physical dimension d", 2, 1, 64), SEED],
  },
  {
    name: "ttn",
    label: "TTN",
    about: "Tree tensor network, a binary tree",
    parameters: [parameter("layers", "Layers", 3, 1, 8), parameter("chi", "Bond dimension χ", 8, 1, 4096), parameter("d", "Physical dimension d", 2, 1, 64), SEED],
  },
  {
    name: "mera",
    label: "MERA",
    about: "Disentanglers and isometries, layer by layer",
    parameters: [parameter("layers", "Layers", 3, 1, 7), parameter("chi", "Bond dimension χ", 4, 1, 256), parameter("d", "Physical dimension d", 2, 1, 64), SEED],
  },
  {
    name: "ring",
    label: "Ring",
    about: "A closed chain, the periodic matrix product state",
    parameters: [parameter("n", "Sites", 6, 3, 400), parameter("chi", "Bond dimension χ", 4, 1, 4096), parameter("d", "Physical dimension d", 2, 1, 64), SEED],
  },
  {
    name: "spin-chain",
    label: "Spin chain",
    about: "Its ground state energy, a number to check",
    parameters: [parameter("n", "Spins", 6, 3, 8), parameter("chi", "Bond dimension χ", 8, 1, 16)],
  },
  {
    name: "circuit",
    label: "Circuit",
    about: "Layers of random gates on qubits",
    parameters: [parameter("n", "Qubits", 5, 1, 100), parameter("depth", "Depth", 6, 0, 100), SEED],
  },
];
