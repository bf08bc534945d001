/**
 * Requests to a worker: one method per address of the service; every failure is an error record.
 *
 * Nothing is sent but what the method says: no cookies, no referrer, no redirects. The token goes in
 * a header, so the browser asks the service first (preflight) whether this page may.
 */

import type { ErrorJson } from "../protocol.ts";
import { refused, shortAddress, type Worker } from "./address.ts";
import { permissionFor } from "./permission.ts";
import { EventStreamParser, type StreamEvent } from "./eventStream.ts";
import { type AboutJson, API, type ArrayStateJson, type EstimateJson, type HealthJson, type JobJson, type JobPageJson, type JobRequestJson } from "./wire.ts";

/** Bytes sent in one request of an upload; what has arrived is not sent again. */
const PIECE_BYTES = 4 * 1024 * 1024;
const UPLOAD_TRIES = 5;
/** Most files that the service tells of at once. */
const FILES_ASKED = 1000;
/** Jobs of one page of the list. */
const JOBS_ASKED = 100;
/** The service writes a heartbeat every 15 s; a stream silent for longer than this is dead [ms]. */
export const SILENCE_MS = 45_000;

export class WorkerError extends Error {
  constructor(
    readonly record: ErrorJson,
    /** Of the answer; null where there was none. */
    readonly status: number | null,
    cause?: unknown,
  ) {
    super(record.message, { cause });
  }

  /** Whether the worker may answer later without anybody doing anything. */
  get isPassing(): boolean {
    if (this.status === null) return this.record.code === "worker-unreachable" || this.record.code === "worker-permission";
    // A line that was lost without a word holds its upload for half a minute.
    return this.status >= 500 || this.status === 429 || this.record.code === "upload-busy";
  }
}

export class WorkerClient {
  constructor(
    readonly worker: Worker,
    private readonly fetcher: typeof fetch = (input, init) => fetch(input, init),
    private readonly permission: typeof permissionFor = permissionFor,
  ) {}

  async health(signal?: AbortSignal): Promise<HealthJson> {
    const found = (await this.json("GET", "/v1/health", { signal, open: true }).catch(async (error: unknown) => {
      const kept = error instanceof WorkerError && error.status === null ? await this.keptFrom() : null;
      throw kept ? new WorkerError(kept, null, error) : error;
    })) as Partial<HealthJson>;
    if (found.status !== "ok" || typeof found.api !== "number")
      throw new WorkerError(refused("worker-not-one", `What answers at ${shortAddress(this.worker.address)} is not a Tensorloom worker.`, "Check the address and the port."), 200);
    if (found.api !== API)
      throw new WorkerError(refused("worker-version", `The worker speaks version ${found.api} of its interface, this page version ${API}.`, "Update the older of the two."), 200);
    return found as HealthJson;
  }

  async about(signal?: AbortSignal): Promise<AboutJson> {
    return (await this.json("GET", "/v1/about", { signal })) as AboutJson;
  }

  /** The newest jobs, or those after the `next` of a page before. */
  async jobs(signal?: AbortSignal, before?: string): Promise<JobPageJson> {
    const from = before === undefined ? "" : `&before=${encodeURIComponent(before)}`;
    return (await this.json("GET", `/v1/jobs?limit=${JOBS_ASKED}${from}`, { signal })) as JobPageJson;
  }

  async job(id: string): Promise<JobJson> {
    return (await this.json("GET", `/v1/jobs/${encodeURIComponent(id)}`)) as JobJson;
  }

  async estimate(request: JobRequestJson, signal?: AbortSignal): Promise<EstimateJson> {
    return (await this.json("POST", "/v1/estimates", { body: request, signal })) as EstimateJson;
  }

  /** The same key gives the same job, however often it is sent. */
  async submit(request: JobRequestJson, key: string, signal?: AbortSignal): Promise<JobJson> {
    return (await this.json("POST", "/v1/jobs", { body: request, headers: { "Idempotency-Key": key }, signal })) as JobJson;
  }

  async cancel(id: string): Promise<JobJson> {
    return (await this.json("POST", `/v1/jobs/${encodeURIComponent(id)}/cancel`)) as JobJson;
  }

  async remove(id: string): Promise<void> {
    await this.request("DELETE", `/v1/jobs/${encodeURIComponent(id)}`);
  }

  /** The bytes of a result from `offset` on, as they come; ends with an error when the line does. */
  async *result(id: string, offset: number, total: number, signal?: AbortSignal): AsyncGenerator<Uint8Array, void> {
    const headers: Record<string, string> = offset > 0 ? { Range: `bytes=${offset}-${total - 1}` } : {};
    const response = await this.request("GET", `/v1/jobs/${encodeURIComponent(id)}/result.npy`, { headers, signal });
    if (!response.body) throw this.unreachable("no body");
    const reader = response.body.getReader();
    // Who does not know ranges sends all of it.
    let skip = response.status === 206 ? 0 : offset;
    let came = skip > 0 ? 0 : offset;
    try {
      for (;;) {
        const part = await reader.read().catch((error: unknown) => {
          throw this.unreachable(error);
        });
        if (part.done) break;
        came += part.value.byteLength;
        const rest = part.value.subarray(Math.min(skip, part.value.byteLength));
        skip -= part.value.byteLength - rest.byteLength;
        if (rest.byteLength > 0) yield rest;
      }
    } finally {
      // Who stops listening leaves no line open; one that broke says so once more.
      reader.cancel().catch(() => undefined);
    }
    if (came < total) throw this.unreachable("the file ended early");
  }

  /**
   * How many bytes of each file are there; what the worker has nothing of is no error, which a
   * browser would show. Of an older worker, which does not know the question, nothing is known:
   * its answer to the first piece says where to go on.
   */
  async offsets(hashes: string[], signal?: AbortSignal): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    for (let first = 0; first < hashes.length; first += FILES_ASKED) {
      const body = { arrays: hashes.slice(first, first + FILES_ASKED) };
      const { arrays } = (await this.json("POST", "/v1/arrays/query", { body, signal }).catch((error: unknown) => {
        if (error instanceof WorkerError && (error.status === 404 || error.status === 405)) return { arrays: [] };
        throw error;
      })) as { arrays: ArrayStateJson[] };
      for (const { sha256, offset } of arrays) found.set(sha256, Number(offset));
    }
    return found;
  }

  /**
   * Brings a file to the worker; goes on where an earlier try stopped.
   *
   * @param have how many of its bytes are there
   */
  async upload(sha256: string, file: Uint8Array<ArrayBuffer>, have: number, { said, wait, signal }: Uploading): Promise<void> {
    let tries = 0;
    let offset = have;
    while (offset < file.byteLength) {
      said(offset);
      try {
        const piece = file.subarray(offset, offset + PIECE_BYTES);
        const headers = { "Upload-Offset": String(offset), "Content-Type": "application/octet-stream" };
        const answer = await this.request("PATCH", `/v1/arrays/${sha256}?length=${file.byteLength}`, { body: piece, headers, signal });
        offset = Number(answer.headers.get("Upload-Offset") ?? offset + piece.byteLength);
        tries = 0;
      } catch (error) {
        if (!(error instanceof WorkerError) || !(error.isPassing || error.status === 409) || signal?.aborted || ++tries >= UPLOAD_TRIES) throw error;
        await wait(tries);
        const { code, values } = error.record;
        offset = code === "upload-offset" && "offset" in values ? Number(values.offset) : ((await this.offsets([sha256], signal)).get(sha256) ?? 0);
      }
    }
    said(offset);
  }

  /**
   * What happens to all jobs, from the event after `last` on; ends with an error when the stream does.
   *
   * @param silenceMs how long the stream may say nothing, not even a heartbeat
   */
  async *events(last: string, signal: AbortSignal, silenceMs = SILENCE_MS): AsyncGenerator<StreamEvent, never> {
    const own = new AbortController();
    const stop = () => own.abort();
    signal.addEventListener("abort", stop, { once: true });
    let timer = setTimeout(stop, silenceMs);
    try {
      const headers: Record<string, string> = { Accept: "text/event-stream", ...(last ? { "Last-Event-ID": last } : {}) };
      const response = await this.request("GET", "/v1/events", { headers, signal: own.signal });
      if (!response.body) throw this.unreachable("no body");
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      const parser = new EventStreamParser();
      for (;;) {
        const part = await reader.read().catch((error: unknown) => {
          throw this.unreachable(error);
        });
        if (part.done) throw this.unreachable("the stream ended");
        clearTimeout(timer);
        timer = setTimeout(stop, silenceMs);
        yield* parser.push(part.value);
      }
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      own.abort();
    }
  }

  /** What the browser itself may hold against it, which a failed request does not tell. */
  private async keptFrom(): Promise<ErrorJson | null> {
    const { address } = this.worker;
    const permission = await this.permission(address);
    if (permission === "granted") return null;
    if (permission === "denied")
      return refused("worker-permission", `The browser does not let this page reach ${shortAddress(address)}.`, "Allow it in the settings of this site: at the left of the address bar, local network or apps on this device.");
    const { message, hint, code } = this.unreachable("kept from it").record;
    return refused(code, message, `${hint} ${permission === "prompt" ? "Where the browser asks whether this page may reach it, allow that." : "Browsers may keep a page that came unencrypted from programs on this machine: open it from https."}`);
  }

  private unreachable(cause: unknown): WorkerError {
    return new WorkerError(
      refused("worker-unreachable", `The worker at ${shortAddress(this.worker.address)} does not answer.`, wayOut(this.worker.address)),
      null,
      cause,
    );
  }

  private async json(method: string, path: string, options: Options = {}): Promise<unknown> {
    const response = await this.request(method, path, options);
    try {
      return await response.json();
    } catch (error) {
      if (options.signal?.aborted) throw this.unreachable(error);
      throw new WorkerError(refused("worker-not-one", `What answers at ${shortAddress(this.worker.address)} is not a Tensorloom worker.`, "Check the address and the port."), response.status);
    }
  }

  private async request(method: string, path: string, { body, headers = {}, signal, open = false }: Options = {}): Promise<Response> {
    const isBytes = body instanceof Uint8Array;
    let response: Response;
    try {
      response = await this.fetcher(`${this.worker.address}${path}`, {
        method,
        headers: {
          ...(open ? {} : { Authorization: `Bearer ${this.worker.token}` }),
          ...(body !== undefined && !isBytes ? { "Content-Type": "application/json" } : {}),
          ...headers,
        },
        body: body === undefined ? null : isBytes ? (body as Uint8Array<ArrayBuffer>) : JSON.stringify(body),
        mode: "cors",
        credentials: "omit",
        cache: "no-store",
        redirect: "error",
        referrerPolicy: "no-referrer",
        signal: signal ?? null,
      });
    } catch (error) {
      throw this.unreachable(error);
    }
    if (response.ok) return response;
    throw new WorkerError(await this.complaint(response), response.status);
  }

  /** The service's own words where it has any. */
  private async complaint(response: Response): Promise<ErrorJson> {
    const said: unknown = await response.json().catch(() => null);
    if (said !== null && typeof said === "object" && "code" in said && "message" in said) {
      const record = said as Partial<ErrorJson>;
      return { kind: "WorkerRejected", code: String(record.code), message: String(record.message), hint: String(record.hint ?? ""), where: record.where ?? {}, values: record.values ?? {} };
    }
    const name = shortAddress(this.worker.address);
    if (response.status === 401) return refused("worker-token", `The worker at ${name} does not know this token.`, "Copy the token that it printed when it started, or make a new one (token rotate).");
    return refused("worker-answer", `The worker at ${name} answered with status ${response.status}.`, "Look at what it printed.");
  }
}

export interface Uploading {
  /** Told how many bytes have arrived. */
  said: (sent: number) => void;
  /** Before the given try again, the first is 1. */
  wait: (tries: number) => Promise<void>;
  signal?: AbortSignal | undefined;
}

/** Scripts are not told why there was no answer; a certificate is the usual reason where there should be one. */
function wayOut(address: string): string {
  const runs = "See that it runs (python3 build.py worker) and that the address is right.";
  return address.startsWith("https:") ? `${runs} If its certificate is one of your own making, open ${address}/v1/health in a tab and accept it there.` : runs;
}

interface Options {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  /** Without the token. */
  open?: boolean;
}
