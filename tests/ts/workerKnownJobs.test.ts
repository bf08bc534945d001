import assert from "node:assert/strict";
import { test } from "node:test";
import { KnownJobs } from "../../app/tensorloom/view/editor/remote/knownJobs.ts";
import type { JobJson, JobPageJson } from "../../app/tensorloom/view/editor/remote/wire.ts";

const job = (id: string, title = "T"): JobJson => ({ id, kind: "contract", title, state: "done", createdAt: "", progress: { slicesDone: "0", slices: "0", fraction: 0 } });
const ids = (known: KnownJobs): string[] => [...known.values()].map(({ id }) => id).sort();
const page = (names: string, next?: string): JobPageJson => ({ jobs: [...names].map((id) => job(id)), ...(next ? { next } : {}) });

test("older jobs come page by page until there are none", async () => {
  const known = new KnownJobs();
  const asked: string[] = [];
  const ask = (...pages: JobPageJson[]) => async (before: string) => {
    asked.push(before);
    return pages.shift()!;
  };
  assert.equal(known.older, "none");
  known.begin(page("fe", "5"));
  assert.equal(known.older, "more");
  const coming = known.takeOlder(ask(page("dc", "3")));
  assert.equal(known.older, "coming");
  assert.deepEqual(await known.takeOlder(ask()), [], "one page at a time");
  assert.deepEqual((await coming).map(({ id }) => id), ["d", "c"]);
  assert.deepEqual((await known.takeOlder(ask(page("b")))).map(({ id }) => id), ["b"]);
  assert.deepEqual([asked, ids(known), known.older], [["5", "3"], ["b", "c", "d", "e", "f"], "none"]);
});

test("a page of which all is known already is not the one that was asked for", async () => {
  const known = new KnownJobs();
  const pages = [page("dc", "3"), page("ba", "1"), page("9")];
  const ask = async () => pages.shift()!;
  known.begin(page("fe", "5"));
  for (const id of "dcb") known.put(job(id));
  assert.deepEqual((await known.takeOlder(ask)).map(({ id }) => id), ["a"]);
  known.put(job("9"));
  assert.deepEqual(await known.takeOlder(ask), []);
  assert.deepEqual([known.older, pages], ["none", []]);
});

test("what was heard of a job meanwhile is newer than its page", async () => {
  const known = new KnownJobs();
  known.begin(page("f", "5"));
  const fresh = await known.takeOlder(async () => {
    known.put(job("d", "heard"));
    known.drop("c");
    return page("dcb");
  });
  assert.deepEqual(fresh.map(({ id }) => id), ["b"]);
  assert.deepEqual(ids(known), ["b", "d", "f"]);
  assert.equal(known.get("d")?.title, "heard");
});

test("a page that was asked for before the list began anew is put aside, and a refusal loses nothing", async () => {
  const known = new KnownJobs();
  known.begin(page("f", "5"));
  await known.takeOlder(async () => {
    known.begin(page("z", "9"));
    return page("e", "4");
  });
  assert.deepEqual([ids(known), known.older], [["z"], "more"]);
  await assert.rejects(known.takeOlder(() => Promise.reject(new Error("lost"))), /lost/);
  assert.equal(known.older, "more");
});
