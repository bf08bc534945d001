import assert from "node:assert/strict";
import { test } from "node:test";
import { fileName } from "../../app/tensorloom/view/editor/chrome/clipboard.ts";
import { isArrayFile, MAX_TEXT_BYTES, qasmQubits, sizeError, toBase64 } from "../../app/tensorloom/view/editor/chrome/openFile.ts";
import { found, rank } from "../../app/tensorloom/view/editor/chrome/paletteSearch.ts";
import { leftBehind, linkSize, linkTo } from "../../app/tensorloom/view/editor/chrome/sharing.ts";
import { PICTURE, templatePicture } from "../../app/tensorloom/view/editor/chrome/templatePictures.ts";
import { TEMPLATES } from "../../app/tensorloom/view/editor/chrome/templateTable.ts";

test("qubits of a circuit are counted over its registers, not over its comments", () => {
  assert.equal(qasmQubits('OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg a[3]; // qreg x[9];\nqreg b [ 2 ];\ncreg c[5];'), 5);
  assert.equal(qasmQubits("// made by hand\nOPENQASM 2.0;\nqreg q[1];"), 1);
  assert.equal(qasmQubits("ij,jk->ik"), null);
  assert.equal(qasmQubits("qreg q[2];", "half.qasm"), 2);
});

test("files are refused by their size before they are read", () => {
  assert.equal(sizeError("a.qasm", MAX_TEXT_BYTES), null);
  const error = sizeError("net.json", MAX_TEXT_BYTES + 1);
  assert.equal(error?.code, "file-too-large");
  assert.equal(error?.message, "“net.json” has 17 MiB; at most 16 MiB can be opened here.");
  assert.equal(sizeError("a.npy", MAX_TEXT_BYTES + 1), null);
});

test("array files are told by their names", () => {
  assert.ok(isArrayFile("A.NPY") && isArrayFile("b.npz") && !isArrayFile("npy.json"));
});

test("bytes become base64 over piece borders", () => {
  const bytes = Uint8Array.from({ length: 60_001 }, (_, order) => (order * 7) % 256);
  assert.equal(toBase64(bytes), Buffer.from(bytes).toString("base64"));
  assert.equal(toBase64(new Uint8Array(0)), "");
});

test("titles become file names without markup or paths", () => {
  assert.equal(fileName("Energy of a spin chain"), "energy-of-a-spin-chain.tensorloom.json");
  assert.equal(fileName("../<b>é</b>"), "b-e-b.tensorloom.json");
  assert.equal(fileName("///"), "untitled.tensorloom.json");
});

test("a link keeps the page's address and only the drawing after the hash", () => {
  assert.equal(linkTo("https://loom.example/tensorloom/?start=pyc#old", "abc_-"), "https://loom.example/tensorloom/#abc_-");
  assert.deepEqual(linkSize("x".repeat(4000)), { characters: 4000, part: 0.5, tooLong: false });
  assert.equal(linkSize("x".repeat(8001)).tooLong, true);
});

test("arrays from files are named as left behind", () => {
  const tensor = (name: string, kind: "blob" | "copy") => ({ id: name, name, indices: [], array: kind === "copy" ? { kind } : { kind, hash: "", shape: [], dtype: "float64" as const } });
  assert.deepEqual(leftBehind({ tensors: [tensor("A", "copy"), tensor("B", "blob")] }), ["B"]);
});

test("commands are found by the beginnings of words, then by their letters", () => {
  const entry = (label: string) => ({ id: label, label, group: "", keys: [] });
  const entries = ["Set the dimension", "Select all", "Tidy the layout", "Add a tensor"].map(entry);
  const labels = (typed: string) => found(entries, typed).map(({ label }) => label);
  assert.deepEqual(labels(""), entries.map(({ label }) => label));
  assert.deepEqual(labels("se"), ["Set the dimension", "Select all"]);
  assert.equal(labels("dim")[0], "Set the dimension");
  assert.equal(labels("tidl")[0], "Tidy the layout");
  assert.deepEqual(labels("zzz"), []);
  assert.equal(rank("Add a tensor", "a t"), 0);
  assert.equal(rank("Add a tensor", "ensor"), 2);
});

test("every template has a picture inside its frame and sizes inside their bounds", () => {
  for (const { name, parameters } of TEMPLATES) {
    const { lines, marks } = templatePicture(name);
    assert.ok(lines.length > 0 && marks.length > 4, name);
    for (const { x, y } of marks) assert.ok(x > 4 && x < PICTURE.width - 4 && y > 4 && y < PICTURE.height - 4, `${name} at ${x},${y}`);
    const numbers = [...lines.matchAll(/-?[\d.]+/g)].map(Number);
    assert.ok(Math.min(...numbers) >= 0, name);
    for (const one of parameters) assert.ok(one.least <= one.default && one.default <= one.most, `${name}.${one.name}`);
  }
  assert.equal(new Set(TEMPLATES.map(({ name }) => name)).size, TEMPLATES.length);
});
