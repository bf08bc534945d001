import assert from "node:assert/strict";
import { test } from "node:test";
import { type Connection, type ConnectionEvent, next, pauseMs } from "../../app/tensorloom/view/editor/remote/connection.ts";
import { Follower, type Listener } from "../../app/tensorloom/view/editor/remote/follower.ts";
import { WorkerClient, WorkerError } from "../../app/tensorloom/view/editor/remote/http.ts";

const worker = { address: "http://127.0.0.1:8765", token: "t" };
const error = { kind: "WorkerUnreachable", code: "worker-unreachable", message: "", hint: "", where: {}, values: {} };
const after = (...events: ConnectionEvent[]): Connection => events.reduce(next, { kind: "off" } as Connection);
const connect: ConnectionEvent = { kind: "connect", worker };

test("each event leads where the drawing says", () => {
  assert.equal(after(connect).kind, "connecting");
  assert.equal(after(connect, { kind: "answered" }).kind, "on");
  assert.deepEqual(after(connect, { kind: "lost", error }), { kind: "waiting", worker, attempt: 1, error });
  assert.deepEqual(after(connect, { kind: "answered" }, { kind: "lost", error }), { kind: "waiting", worker, attempt: 1, error });
  assert.equal(after(connect, { kind: "refused", error }).kind, "refused");
  assert.equal(after(connect, { kind: "disconnect" }).kind, "off");
});

test("attempts are counted until the worker answers, then anew", () => {
  const lost: ConnectionEvent = { kind: "lost", error };
  const twice = after(connect, lost, { kind: "retry" }, lost);
  assert.equal(twice.kind === "waiting" && twice.attempt, 2);
  const events: ConnectionEvent[] = [{ kind: "retry" }, { kind: "answered" }, lost];
  const again = events.reduce(next, twice);
  assert.equal(again.kind === "waiting" && again.attempt, 1);
});

test("events that do not belong to a state change nothing", () => {
  const states: [Connection, ConnectionEvent][] = [
    [after(), { kind: "answered" }], [after(), { kind: "lost", error }], [after(), { kind: "refused", error }], [after(), { kind: "retry" }],
    [after(connect), { kind: "retry" }], [after(connect, { kind: "answered" }), { kind: "answered" }], [after(connect, { kind: "refused", error }), { kind: "lost", error }],
  ];
  for (const [state, event] of states) assert.equal(next(state, event), state, `${state.kind} ${event.kind}`);
});

test("pauses double up to half a minute and are spread", () => {
  assert.deepEqual([1, 2, 3, 7, 50].map((attempt) => pauseMs(attempt, 0.5)), [500, 1000, 2000, 30_000, 30_000]);
  assert.equal(pauseMs(1, 0), 375);
  assert.equal(pauseMs(1, 1), 625);
});

/** A worker of text: each path answers with what the list holds next. */
function scripted(answers: Record<string, (() => Response | Promise<Response>)[]>): { client: WorkerClient; asked: { path: string; headers: Record<string, string> }[] } {
  const asked: { path: string; headers: Record<string, string> }[] = [];
  const fetcher = (async (input: string, init: RequestInit) => {
    const path = new URL(input).pathname;
    asked.push({ path, headers: init.headers as Record<string, string> });
    const answer = answers[path]?.shift();
    if (!answer) throw new TypeError("Failed to fetch");
    return answer();
  }) as typeof fetch;
  return { client: new WorkerClient(worker, fetcher), asked };
}

const json = (value: unknown, status = 200) => () => new Response(JSON.stringify(value), { status });
const health = json({ status: "ok", version: "1", api: 1 });
const jobs = json({ jobs: [{ id: "j1", state: "running" }] });
const stream = (text: string) => () => new Response(text);

function follow(client: WorkerClient, until: (kinds: string[]) => boolean): Promise<{ kinds: string[]; told: string[]; gone: string[]; greeted: string[][] }> {
  return new Promise((resolve) => {
    const kinds: string[] = [], told: string[] = [], gone: string[] = [], greeted: string[][] = [];
    const look = () => {
      if (!until(kinds)) return;
      follower.disconnect();
      resolve({ kinds, told, gone, greeted });
    };
    const listener: Listener = {
      changed: (connection) => {
        if (connection.kind === "off") return;
        kinds.push(connection.kind);
        queueMicrotask(look);
      },
      greeted: (_about, { jobs }) => greeted.push(jobs.map(({ id }) => id)),
      told: (job) => told.push(`${job.id} ${job.state}`),
      gone: (id) => gone.push(id),
    };
    const follower = new Follower(listener, () => client, () => Promise.resolve());
    follower.connect(worker);
  });
}

test("a lost stream is taken up after the last event that was seen", async () => {
  const { client, asked } = scripted({
    "/v1/health": [health, health],
    "/v1/about": [json({}), json({})],
    "/v1/jobs": [jobs, jobs],
    "/v1/events": [stream('id: 41\nevent: job\ndata: {"id":"j1","state":"running"}\n\nid: 42\nevent: gone\ndata: {"id":"j0"}\n\n'), stream('id: 43\nevent: job\ndata: {"id":"j1","state":"done"}\n\n')],
  });
  const { kinds, told, gone } = await follow(client, (seen) => seen.length === 6);
  assert.deepEqual(kinds, ["connecting", "on", "waiting", "connecting", "on", "waiting"]);
  assert.deepEqual(told, ["j1 running", "j1 done"]);
  assert.deepEqual(gone, ["j0"]);
  assert.deepEqual(asked.filter(({ path }) => path === "/v1/events").map(({ headers }) => headers["Last-Event-ID"]), [undefined, "42"]);
  assert.ok(asked.filter(({ path }) => path === "/v1/health").every(({ headers }) => !("Authorization" in headers)));
  assert.ok(asked.filter(({ path }) => path !== "/v1/health").every(({ headers }) => headers.Authorization === "Bearer t"));
});

test("a worker that has forgotten what was seen is asked for its jobs anew", async () => {
  const { client, asked } = scripted({
    "/v1/health": [health, health],
    "/v1/about": [json({}), json({})],
    "/v1/jobs": [jobs, jobs, json({ jobs: [{ id: "j2", state: "queued" }] })],
    "/v1/events": [stream('id: 42\nevent: job\ndata: {"id":"j1","state":"running"}\n\n'), stream('id: 0\nevent: reset\ndata: {}\n\nid: 7\nevent: job\ndata: {"id":"j2","state":"running"}\n\n')],
  });
  const { told, greeted } = await follow(client, (seen) => seen.length === 6);
  assert.deepEqual(greeted, [["j1"], ["j1"], ["j2"]]);
  assert.deepEqual(told, ["j1 running", "j2 running"]);
  assert.equal(asked.filter(({ path }) => path === "/v1/events").at(-1)?.headers["Last-Event-ID"], "42");
});

test("a token that is not known ends the tries, a worker that is away does not", async () => {
  const wrong = scripted({ "/v1/health": [health], "/v1/about": [json({}, 401)] });
  assert.deepEqual((await follow(wrong.client, (seen) => seen.at(-1) === "refused")).kinds, ["connecting", "refused"]);
  const away = scripted({ "/v1/health": [] });
  assert.deepEqual((await follow(away.client, (seen) => seen.length === 5)).kinds, ["connecting", "waiting", "connecting", "waiting", "connecting"]);
});

test("what is no worker, or of another version, is said", async () => {
  const record = async (answer: () => Response) => {
    try {
      await scripted({ "/v1/health": [answer] }).client.health();
    } catch (refusal) {
      return (refusal as { record: { code: string; message: string } }).record;
    }
    return null;
  };
  assert.equal((await record(() => new Response("<html>")))?.code, "worker-not-one");
  assert.equal((await record(json({ status: "fine" })))?.code, "worker-not-one");
  assert.equal((await record(json({ status: "ok", api: 2 })))?.message, "The worker speaks version 2 of its interface, this page version 1.");
});

test("a stream that falls silent is given up", async () => {
  const fetcher = (async (_input: string, init: RequestInit) => {
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    init.signal?.addEventListener("abort", () => void writable.abort(new Error("aborted")));
    return new Response(readable);
  }) as typeof fetch;
  const events = new WorkerClient(worker, fetcher).events("", new AbortController().signal, 5);
  await assert.rejects(events.next(), (refusal: { record: { code: string } }) => refusal.record.code === "worker-unreachable");
});

test("a worker that accepts and says nothing does not answer", async () => {
  let asked = 0;
  const fetcher = ((_input: string, init: RequestInit) =>
    new Promise((_, reject) => {
      asked += 1;
      init.signal?.addEventListener("abort", () => reject(new TypeError("aborted")));
    })) as unknown as typeof fetch;
  const listener: Listener = { changed: () => undefined, greeted: () => undefined, told: () => undefined, gone: () => undefined };
  const kept = setInterval(() => undefined, 1000);
  await new Promise<void>((resolve) => {
    const changed = ({ kind }: Connection) => {
      if (kind !== "waiting") return;
      follower.disconnect();
      resolve();
    };
    const follower = new Follower({ ...listener, changed }, () => new WorkerClient(worker, fetcher), () => new Promise(() => undefined), 5);
    follower.connect(worker);
  });
  clearInterval(kept);
  assert.equal(asked, 1);
});

test("why there was no answer is said as far as it can be known", async () => {
  const said = async (address: string, permission: "granted" | "prompt" | "denied" | "insecure") => {
    const client = new WorkerClient({ address, token: "t" }, () => Promise.reject(new TypeError("Failed to fetch")), () => Promise.resolve(permission));
    const refusal = await client.health().catch((found: unknown) => found);
    assert.ok(refusal instanceof WorkerError && refusal.isPassing);
    return refusal.record;
  };
  const runs = "See that it runs (python3 build.py worker) and that the address is right.";
  assert.equal((await said("http://127.0.0.1:1", "granted")).hint, runs);
  assert.equal((await said("https://lab.local:1", "granted")).hint, `${runs} If its certificate is one of your own making, open https://lab.local:1/v1/health in a tab and accept it there.`);
  assert.equal((await said("http://127.0.0.1:1", "prompt")).hint, `${runs} Where the browser asks whether this page may reach it, allow that.`);
  assert.match((await said("http://127.0.0.1:1", "insecure")).hint, /open it from https\.$/);
  const denied = await said("http://127.0.0.1:1", "denied");
  assert.equal(denied.code, "worker-permission");
  assert.equal(denied.message, "The browser does not let this page reach 127.0.0.1:1.");
});
