import assert from "node:assert/strict";
import { test } from "node:test";
import { CONTROL, CONTROL_BYTES, JOB, JOB_BYTES, stoppedHalfWay } from "../../workers/browser/engine/team.ts";

const CONTROL_PLACE = 1024;
const JOB_PLACE = 2048;

/** Memory with a helper at work, at a job or at one that its leader has left. */
function atWork(job: number): { memory: WebAssembly.Memory; control: Int32Array<ArrayBuffer> } {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
  const control = new Int32Array(memory.buffer as ArrayBuffer, CONTROL_PLACE, CONTROL_BYTES / 4);
  control[CONTROL.job / 4] = job;
  control[CONTROL.busy / 4] = 1;
  return { memory, control };
}

test("a record that stopped half way in a helper counts as done, and the leader is told", () => {
  const { memory, control } = atWork(JOB_PLACE);
  const job = new Int32Array(memory.buffer as ArrayBuffer, JOB_PLACE, JOB_BYTES / 4);
  stoppedHalfWay(memory, CONTROL_PLACE);
  assert.deepEqual([control[CONTROL.stopped / 4], control[CONTROL.busy / 4], job[JOB.done / 4]], [1, 0, 1]);
});

test("a helper that stops when its leader has stopped too writes to nobody's memory", () => {
  const { memory, control } = atWork(0);
  stoppedHalfWay(memory, CONTROL_PLACE);
  assert.deepEqual([control[CONTROL.stopped / 4], control[CONTROL.busy / 4]], [1, 0]);
  assert.ok(new Int32Array(memory.buffer as ArrayBuffer, 0, CONTROL_PLACE / 4).every((word) => word === 0));
});
