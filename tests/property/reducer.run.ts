/**
 * Runs the page's reducer over sequences of commands. Usage: node reducer.run.mjs IN OUT
 * IN: `[[document, [command, ...]], ...]`; OUT: for each command `{refused}` (a code) or
 * `{document, back, restored}`. A refused command is passed over.
 */
import { isDeepStrictEqual } from "node:util";
import { readFileSync, writeFileSync } from "node:fs";
import { apply, applyAll, CommandError, invert } from "../../app/tensorloom/view/editor/model/reducer.ts";
import type { Command, DocumentJson } from "../../app/tensorloom/view/editor/protocol.ts";

type Outcome = { refused: string } | { document: DocumentJson; back: Command[]; restored: boolean };

function outcomeOf(before: DocumentJson, command: Command): Outcome {
  try {
    const document = apply(before, command);
    const back = invert(before, command);
    return { document, back, restored: isDeepStrictEqual(applyAll(document, back), before) };
  } catch (error) {
    if (error instanceof CommandError) return { refused: error.code };
    throw error;
  }
}

const [source, target] = process.argv.slice(2) as [string, string];
const sequences = JSON.parse(readFileSync(source, "utf8")) as [DocumentJson, Command[]][];
const outcomes = sequences.map(([start, commands]) => {
  let now = start;
  return commands.map((command) => {
    const outcome = outcomeOf(now, command);
    if ("document" in outcome) now = outcome.document;
    return outcome;
  });
});
writeFileSync(target, JSON.stringify(outcomes));
