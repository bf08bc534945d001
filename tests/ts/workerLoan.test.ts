import assert from "node:assert/strict";
import { test } from "node:test";
import type { Worker } from "../../app/tensorloom/view/editor/remote/address.ts";
import { type Connection, next } from "../../app/tensorloom/view/editor/remote/connection.ts";
import { Lending } from "../../app/tensorloom/view/editor/remote/loan.ts";

const named = (token: string): Worker => ({ address: "http://127.0.0.1:8765", token });
const [OWN, ONE, OTHER] = [named("own"), named("one"), named("other")];
const refusal = { kind: "WorkerRejected", code: "worker-token", message: "", hint: "", where: {}, values: {} };

/** A line whose workers answer, but for those with the token "wrong"; what it followed, by its tokens. */
function lineOf(own: Worker | null) {
  const followed: (string | null)[] = [];
  let connection: Connection = { kind: "off" };
  const answers = async () => {
    await Promise.resolve();
    if (connection.kind === "off") throw new Error("off");
    if (connection.worker.token !== "wrong") return;
    connection = next(connection, { kind: "refused", error: refusal });
    throw refusal;
  };
  const line = {
    connection: () => connection,
    follow: (worker: Worker | null) => {
      followed.push(worker?.token ?? null);
      connection = worker ? { kind: "on", worker } : { kind: "off" };
    },
    answered: answers,
  };
  if (own) line.follow(own);
  followed.length = 0;
  return { followed, lending: new Lending(line), answered: answers };
}

test("a line goes back to the page's worker after the work, also where it fails", async () => {
  const { lending, followed, answered } = lineOf(OWN);
  assert.equal(await lending.during(ONE, async (worker) => `${worker?.token} ${lending.isOut} ${lending.isOutFor(OWN)} ${lending.isOutFor(ONE)}`), "one true true false");
  await assert.rejects(lending.during(named("wrong"), answered), refusal);
  assert.deepEqual(followed, ["one", "own", "wrong", "own"]);
  assert.equal(lending.isOut, false);
});

test("the page's own worker is not asked anew", async () => {
  const { lending, followed } = lineOf(OWN);
  assert.deepEqual(await Promise.all([OWN, null].map((worker) => lending.during(worker, (mine) => Promise.resolve(mine)))), [OWN, OWN]);
  assert.deepEqual(followed, []);
});

test("a page without a worker keeps one that answers, and no other", async () => {
  const { lending, followed } = lineOf(null);
  await assert.rejects(lending.during(named("wrong"), () => assert.fail("It has not answered.")), refusal);
  assert.deepEqual(followed, ["wrong", null]);
  assert.equal(await lending.during(ONE, (worker) => Promise.resolve(worker)), ONE);
  assert.deepEqual(followed, ["wrong", null, "one"]);
});

test("runs with one worker share the line, others wait for it", async () => {
  const { lending, followed } = lineOf(OWN);
  const order: string[] = [];
  let finish: () => void = () => undefined;
  const long = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const work = (name: string, until = Promise.resolve()) => async () => {
    order.push(name);
    await until;
  };
  const runs = [lending.during(ONE, work("one", long)), lending.during(OTHER, work("other")), lending.during(null, work("own")), lending.during(ONE, work("one again"))];
  await runs[3];
  assert.deepEqual(order, ["one", "one again"]);
  assert.deepEqual(followed, ["one"]);
  finish();
  await Promise.all(runs);
  assert.deepEqual(order.slice(2).sort(), ["other", "own"]);
  assert.deepEqual(followed, ["one", "own", "other", "own"]);
});

test("a user who takes the line ends the runs that have it", async () => {
  const { lending, followed } = lineOf(OWN);
  assert.equal(lending.end(refusal), undefined);
  const run = lending.during(ONE, () => new Promise(() => undefined));
  await Promise.resolve();
  assert.equal(lending.end(refusal), OWN);
  await assert.rejects(run, refusal);
  // Whoever took it says where it goes.
  assert.deepEqual(followed, ["one"]);
});

test("a line goes back to the worker that another tab has connected meanwhile", async () => {
  const { lending, followed } = lineOf(OWN);
  assert.equal(lending.comesBackTo(OTHER), false);
  await lending.during(ONE, async () => assert.equal(lending.comesBackTo(OTHER), true));
  assert.deepEqual(followed, ["one", "other"]);
});
