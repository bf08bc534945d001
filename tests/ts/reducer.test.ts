import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command, DocumentJson } from "../../app/tensorloom/view/editor/protocol.ts";
import { apply, applyAll, CommandError, invert, invertAll } from "../../app/tensorloom/view/editor/model/reducer.ts";
import legs from "../golden/commands/legs.json";
import small from "../golden/commands/small.json";
import tensors from "../golden/commands/tensors.json";

/** As `tests/golden/commands_cases.py` writes them, by the Python reducer. */
interface Vector {
  name: string;
  document: DocumentJson;
  commands: Command[];
  after: DocumentJson | null;
  refused: { at: number; code: string } | null;
  back: Command[] | null;
}

const vectors = [...tensors, ...legs, ...small] as unknown as Vector[];

/** A document that no reducer may change in place. */
function frozen<Value>(value: Value): Value {
  if (typeof value === "object" && value !== null) {
    Object.values(value).forEach(frozen);
    Object.freeze(value);
  }
  return value;
}

for (const { name, document, commands, after, refused, back } of frozen(vectors)) {
  if (refused) {
    test(`refused: ${name}`, () => {
      const before = applyAll(document, commands.slice(0, refused.at));
      const command = commands[refused.at];
      assert.ok(command);
      assert.throws(() => apply(before, command), (error) => error instanceof CommandError && error.code === refused.code);
    });
  } else {
    test(name, () => {
      assert.deepEqual(applyAll(document, commands), after);
      assert.deepEqual(invertAll(document, commands), back);
      assert.deepEqual(applyAll(applyAll(document, commands), back ?? []), document);
    });
  }
}

test("there are vectors of both kinds", () => {
  assert.ok(vectors.filter(({ refused }) => refused).length > 30);
  assert.ok(vectors.filter(({ refused }) => !refused).length > 40);
});

test("dimensions come in order of first appearance", () => {
  const [start] = vectors;
  assert.ok(start);
  const wide: Command = {
    kind: "add-tensor",
    tensor: { id: "t1", name: "A", indices: ["z", "a", "m"], array: { kind: "copy" } },
    dimensions: { m: 2, a: 3, z: 4 },
    mark: { x: 0, y: 0, shape: "circle", colour: "blue" },
    at: null,
    output: null,
  };
  const made = apply(start.document, wide);
  assert.deepEqual(Object.entries(made.dimensions), [["z", 4], ["a", 3], ["m", 2]]);
  assert.deepEqual(invert(start.document, wide), [{ kind: "remove-tensor", id: "t1" }, { kind: "set-output", output: [] }]);
});
