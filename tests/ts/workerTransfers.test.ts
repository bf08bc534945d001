import assert from "node:assert/strict";
import { test } from "node:test";
import type { DocumentJson, ErrorJson } from "../../app/tensorloom/view/editor/protocol.ts";
import { download } from "../../app/tensorloom/view/editor/remote/download.ts";
import type { Line } from "../../app/tensorloom/view/editor/remote/follower.ts";
import { WorkerClient, type WorkerError } from "../../app/tensorloom/view/editor/remote/http.ts";
import { revisionOf, type SentJob } from "../../app/tensorloom/view/editor/remote/jobs.ts";
import { Outbox } from "../../app/tensorloom/view/editor/remote/outbox.ts";
import { sha256Of } from "../../app/tensorloom/view/editor/remote/requests.ts";
import type { JobJson, JobResultJson } from "../../app/tensorloom/view/editor/remote/wire.ts";

const worker = { address: "http://127.0.0.1:8765", token: "t" };
const atOnce = () => Promise.resolve();

function lineTo(fetcher: (path: string, init: RequestInit) => Response | Promise<Response>, lost = new AbortController().signal): Line {
  const ask = (async (input: string, init: RequestInit) => fetcher(new URL(input).pathname, init)) as typeof fetch;
  return { client: new WorkerClient(worker, ask), lost };
}

// --- arrays on their way there ---

test("an upload goes on where it stopped, and sends nothing twice", async () => {
  const file = new Uint8Array(9 * 1024 * 1024);
  let have = 0, failures = 1;
  const sent: number[] = [];
  const fetcher = (async (_input: string, init: RequestInit) => {
    if (init.method === "POST") {
      assert.deepEqual(JSON.parse(String(init.body)), { arrays: ["ab"] });
      return new Response(JSON.stringify({ arrays: [{ sha256: "ab", offset: String(have) }] }));
    }
    const offset = Number((init.headers as Record<string, string>)["Upload-Offset"]);
    assert.equal(offset, have);
    const { byteLength } = init.body as Uint8Array;
    sent.push(byteLength);
    if (sent.length === 2 && failures-- > 0) {
      // A part of the piece arrived before the line broke.
      have += 1000;
      throw new TypeError("Failed to fetch");
    }
    have += byteLength;
    return new Response(null, { headers: { "Upload-Offset": String(have) } });
  }) as typeof fetch;
  const said: number[] = [];
  await new WorkerClient(worker, fetcher).upload("ab", file, 0, { said: (done) => said.push(done), wait: () => Promise.resolve() });
  const piece = 4 * 1024 * 1024;
  assert.equal(have, file.byteLength);
  assert.deepEqual(sent, [piece, piece, piece, file.byteLength - 2 * piece - 1000]);
  assert.deepEqual(said, [0, piece, piece + 1000, 2 * piece + 1000, file.byteLength]);
});

test("how much is there is asked for a thousand files at once, and none of them is an error", async () => {
  const hashes = Array.from({ length: 1001 }, (_, number) => String(number));
  const asked: number[] = [];
  const fetcher = (async (_input: string, init: RequestInit) => {
    const { arrays } = JSON.parse(String(init.body)) as { arrays: string[] };
    asked.push(arrays.length);
    return new Response(JSON.stringify({ arrays: arrays.map((sha256) => ({ sha256, offset: sha256 === "1000" ? "7" : "0" })) }));
  }) as typeof fetch;
  const found = await new WorkerClient(worker, fetcher).offsets(hashes);
  assert.deepEqual(asked, [1000, 1]);
  assert.deepEqual([...found.keys()], hashes);
  assert.equal(found.get("1000"), 7);
});

test("an older worker that cannot be asked how much is there says where an upload goes on", async () => {
  for (const status of [404, 405]) {
    const sent: string[] = [];
    const line = lineTo((path, { method, headers, body }) => {
      if (method === "POST") return new Response(JSON.stringify({ code: "not-found", message: "No." }), { status });
      const offset = Number((headers as Record<string, string>)["Upload-Offset"]);
      sent.push(`${path} ${offset}`);
      if (offset !== 3) return new Response(JSON.stringify({ code: "upload-offset", message: "3 are here.", values: { offset: 3 } }), { status: 409 });
      return new Response(null, { headers: { "Upload-Offset": String(offset + (body as Uint8Array).byteLength) } });
    });
    const have = await line.client.offsets(["ab"]);
    assert.equal(have.size, 0);
    const said: number[] = [];
    await line.client.upload("ab", new Uint8Array(8), have.get("ab") ?? 0, { said: (done) => said.push(done), wait: atOnce });
    assert.deepEqual(sent, ["/v1/arrays/ab 0", "/v1/arrays/ab 3"]);
    assert.deepEqual(said, [0, 3, 8]);
  }
  const broken = lineTo(() => new Response("{}", { status: 500 }));
  await assert.rejects(broken.client.offsets(["ab"]), ({ status }: WorkerError) => status === 500);
});

test("an upload that an earlier, lost request still holds is not given up", async () => {
  let asked = 0;
  const line = lineTo((_path, { method }) => {
    if (method === "POST") return new Response(JSON.stringify({ arrays: [{ sha256: "ab", offset: "0" }] }));
    asked += 1;
    return new Response(JSON.stringify({ code: "upload-busy", message: "Another request is at it." }), { status: 409 });
  });
  const sending = line.client.upload("ab", new Uint8Array(8), 0, { said: () => undefined, wait: atOnce });
  await assert.rejects(sending, (refusal: WorkerError) => refusal.isPassing && refusal.record.code === "upload-busy");
  assert.equal(asked, 5);
});

// --- values on their way here ---

const file = Uint8Array.from({ length: 1000 }, (_, place) => place % 251);
const job = { id: "j1", state: "done" } as JobJson;
const result = async () => ({ bytes: String(file.byteLength), sha256: await sha256Of(file) }) as JobResultJson;

/** Gives so many bytes, then breaks. */
function broken(bytes: Uint8Array<ArrayBuffer>, status: number): Response {
  let isSent = false;
  const body = new ReadableStream<Uint8Array>({
    pull: (to) => {
      if (isSent) to.error(new TypeError("network error"));
      else to.enqueue(bytes);
      isSent = true;
    },
  });
  return new Response(body, { status });
}

test("a download goes on where it was cut, and asks for no byte twice", async () => {
  const asked: (string | undefined)[] = [];
  const line = lineTo((path, init) => {
    assert.equal(path, "/v1/jobs/j1/result.npy");
    asked.push((init.headers as Record<string, string>).Range);
    if (asked.length === 1) return broken(file.slice(0, 300), 200);
    if (asked.length === 2) throw new TypeError("Failed to fetch");
    if (asked.length === 3) return broken(file.slice(300, 700), 206);
    return new Response(file.slice(700), { status: 206 });
  });
  const value = await download(job, await result(), () => Promise.resolve(line), { wait: atOnce });
  assert.deepEqual(new Uint8Array(value as ArrayBuffer), file);
  assert.deepEqual(asked, [undefined, "bytes=300-999", "bytes=300-999", "bytes=700-999"]);
});

test("a download from a worker that knows no ranges skips what is here", async () => {
  let tries = 0;
  const line = lineTo(() => (tries++ === 0 ? broken(file.slice(0, 300), 200) : new Response(file)));
  const value = await download(job, await result(), () => Promise.resolve(line), { wait: atOnce });
  assert.deepEqual(new Uint8Array(value as ArrayBuffer), file);
});

test("a value that is not the computed one is said, and one that ends early is asked for again", async () => {
  const other = file.slice();
  other[500] = 7;
  const wrong = lineTo(() => new Response(other));
  await assert.rejects(download(job, await result(), () => Promise.resolve(wrong), { wait: atOnce }), ({ record }: { record: ErrorJson }) => record.code === "worker-damaged-result");
  const longer = lineTo(() => new Response(new Uint8Array(1001)));
  await assert.rejects(download(job, await result(), () => Promise.resolve(longer), { wait: atOnce }), ({ record }: { record: ErrorJson }) => record.code === "worker-damaged-result");
  let tries = 0;
  const short = lineTo(() => {
    tries += 1;
    return new Response(file.slice(0, tries === 1 ? 10 : 0), { status: tries === 1 ? 200 : 206 });
  });
  await assert.rejects(download(job, await result(), () => Promise.resolve(short), { wait: atOnce }), ({ record }: { record: ErrorJson }) => record.code === "worker-unreachable");
  assert.equal(tries, 6);
});

test("a download that is given up leaves no line open", async () => {
  let cancelled = 0;
  const line = lineTo(() => new Response(new ReadableStream<Uint8Array>({
    pull: (to) => to.enqueue(new Uint8Array(2000)),
    cancel: () => {
      cancelled += 1;
    },
  })));
  await assert.rejects(download(job, await result(), () => Promise.resolve(line), { wait: atOnce }), ({ record }: { record: ErrorJson }) => record.code === "worker-damaged-result");
  assert.equal(cancelled, 1);
});

test("a download waits for the worker as long as it is away, and ends when nobody wants it", async () => {
  const gone = new AbortController();
  gone.abort();
  const away = lineTo(() => Promise.reject(new TypeError("aborted")), gone.signal);
  const back = lineTo(() => new Response(file));
  let asked = 0;
  const value = await download(job, await result(), () => Promise.resolve(++asked <= 20 ? away : back), { wait: atOnce });
  assert.equal(value?.byteLength, 1000);
  assert.equal(asked, 21);
  let wanted = 3;
  assert.equal(await download(job, await result(), () => Promise.resolve(away), { wait: atOnce, isWanted: () => wanted-- > 0 }), null);
});

// --- jobs on their way there ---

const drawing: DocumentJson = {
  tensorloom: 1, title: "One", dtype: "float64", dimensions: { i: 3 }, output: [],
  tensors: [{ id: "t1", name: "A", indices: ["i"], array: { kind: "constant", value: 1 } }],
  marks: { t1: { x: 0, y: 0, shape: "circle", colour: "blue" } }, anchors: {},
};
const fresh = (): SentJob => ({ key: "key-of-one", worker: worker.address, id: null, document: drawing, revision: revisionOf(drawing), sentAt: 1, plan: { path: [], sliced: ["i"] } });

interface Told {
  outbox: Outbox;
  arrived: string[];
  refused: string[];
  /** What it said of why it waits, each time it said anything. */
  held: (string | undefined)[];
}

function outboxTo(line: () => Line | null, isEnough: (told: Told) => boolean): Promise<Told> {
  return new Promise((resolve) => {
    const told: Told = { arrived: [], refused: [], held: [] } as unknown as Told;
    const look = () => {
      if (isEnough(told)) setTimeout(() => resolve(told), 0);
    };
    told.outbox = new Outbox({
      line,
      changed: () => {
        told.held.push(told.outbox.held?.code);
        look();
      },
      arrived: ({ id }) => {
        told.arrived.push(id);
        look();
      },
      refused: ({ code }) => {
        told.refused.push(code);
        look();
      },
    }, atOnce);
    void told.outbox.add(fresh());
  });
}

const answer = (value: unknown, status: number) => new Response(JSON.stringify(value), { status });

test("a job whose answer was lost is sent again, the same to the byte under the same key", async () => {
  const sent: [unknown, unknown][] = [];
  const line = lineTo((path, init) => {
    assert.equal(path, "/v1/jobs");
    sent.push([(init.headers as Record<string, string>)["Idempotency-Key"], init.body]);
    if (sent.length === 1) throw new TypeError("Failed to fetch");
    return answer({ id: "j1", state: "queued" }, 200);
  });
  const { outbox, arrived } = await outboxTo(() => line, (told) => told.arrived.length === 1);
  assert.deepEqual(arrived, ["j1"]);
  assert.equal(sent.length, 2);
  assert.deepEqual(sent[0], sent[1]);
  assert.deepEqual(JSON.parse(String(sent[0]?.[1])).plan, { path: [], sliced: ["i"] });
  assert.equal(outbox.find("key-of-one")?.id, "j1");
});

test("what a worker cannot take just now waits, says why, and is sent again", async () => {
  let tries = 0;
  const line = lineTo(() => (++tries <= 2 ? answer({ code: "disk-full", message: "The disk is full." }, 507) : answer({ id: "j1", state: "queued" }, 201)));
  const { held, arrived, refused, outbox } = await outboxTo(() => line, (told) => told.arrived.length === 1);
  assert.equal(tries, 3);
  assert.ok(held.includes("disk-full"));
  assert.deepEqual([arrived, refused, outbox.held], [["j1"], [], null]);
});

test("several jobs that wait are tried once each in a round", async () => {
  const rounds = 5;
  const sent: string[] = [];
  const line = lineTo((_path, init) => {
    sent.push((init.headers as Record<string, string>)["Idempotency-Key"] as string);
    return sent.length <= 3 * rounds ? answer({ code: "disk-full", message: "The disk is full." }, 507) : answer({ id: `j${sent.length}`, state: "queued" }, 201);
  });
  const arrived: string[] = [];
  await new Promise<void>((resolve) => {
    const outbox: Outbox = new Outbox({ line: () => line, changed: () => undefined, refused: () => undefined, arrived: ({ id }) => {
      if (arrived.push(id) === 3) resolve();
    } }, () => new Promise((next) => setTimeout(next, 1)));
    for (const key of ["key-of-one", "key-of-two", "key-of-three"]) void outbox.add({ ...fresh(), key });
  });
  assert.equal(sent.length, 3 * (rounds + 1));
});

test("what a worker does not want is given up and said once", async () => {
  const line = lineTo(() => answer({ code: "too-many-tensors", message: "Too many." }, 422));
  const { refused, outbox } = await outboxTo(() => line, (told) => told.refused.length === 1);
  assert.deepEqual(refused, ["too-many-tensors"]);
  assert.equal(outbox.failure("key-of-one")?.message, "Too many.");
  assert.deepEqual(outbox.sent, []);
});

test("a job that is let go while it is on its way is stopped there", async () => {
  const paths: string[] = [];
  let found: Outbox | null = null;
  const line = lineTo(async (path) => {
    paths.push(path);
    if (path === "/v1/jobs") await found?.forget("key-of-one");
    return answer({ id: "j1", state: "queued" }, 200);
  });
  const { arrived } = await outboxTo(() => line, (told) => {
    found = told.outbox;
    return paths.length === 2;
  });
  assert.deepEqual(paths, ["/v1/jobs", "/v1/jobs/j1/cancel"]);
  assert.deepEqual(arrived, []);
});
