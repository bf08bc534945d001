/**
 * Keeps in touch with one worker: greets it, follows what happens to its jobs, comes back after
 * every loss, and says how things stand. It knows nothing of drawings.
 */

import type { ErrorJson } from "../protocol.ts";
import type { Worker } from "./address.ts";
import { type Connection, type ConnectionEvent, next, pauseMs } from "./connection.ts";
import { WorkerClient, WorkerError } from "./http.ts";
import { pause } from "./pause.ts";
import type { AboutJson, JobJson, JobPageJson } from "./wire.ts";

/** A worker that answers. */
export interface Line {
  client: WorkerClient;
  /** Aborts when it does so no longer: what is under way will not come. */
  lost: AbortSignal;
}

export interface Listener {
  /** The connection is another one. */
  changed(connection: Connection): void;
  /** The worker answered, or told to begin anew: what it has, and its newest jobs. */
  greeted(about: AboutJson, jobs: JobPageJson): void;
  told(job: JobJson): void;
  gone(id: string): void;
}

/** Who has not greeted by then does not answer: a line that fell silent would keep it waiting for minutes [ms]. */
const GREETING_MS = 15_000;

export class Follower {
  connection: Connection = { kind: "off" };
  client: WorkerClient | null = null;
  /** While the worker answers. */
  line: Line | null = null;
  private cut = new AbortController();
  private abort: AbortController | null = null;
  private wake: () => void = () => undefined;
  /** The id of the last event, so that nothing is missed between two streams. */
  private last = "";

  constructor(
    private readonly listener: Listener,
    private readonly clientOf: (worker: Worker) => WorkerClient = (worker) => new WorkerClient(worker),
    private readonly wait: (ms: number) => Promise<void> = pause,
    private readonly greetingMs = GREETING_MS,
  ) {}

  connect(worker: Worker): void {
    this.abort?.abort();
    this.abort = new AbortController();
    this.client = this.clientOf(worker);
    this.last = "";
    this.step({ kind: "connect", worker });
    void this.follow(this.client, this.abort.signal);
  }

  disconnect(): void {
    this.abort?.abort();
    this.abort = null;
    this.client = null;
    this.step({ kind: "disconnect" });
  }

  /** Tries again at once, where it waits for its next try. */
  retry(): void {
    this.wake();
  }

  private step(event: ConnectionEvent): void {
    const before = this.connection;
    this.connection = next(before, event);
    if (this.connection === before) return;
    this.cut.abort();
    this.cut = new AbortController();
    this.line = this.connection.kind === "on" && this.client ? { client: this.client, lost: this.cut.signal } : null;
    this.listener.changed(this.connection);
  }

  private async follow(client: WorkerClient, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.once(client, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof WorkerError)) throw error;
        if (!error.isPassing) {
          this.step({ kind: "refused", error: error.record });
          return;
        }
        this.step({ kind: "lost", error: error.record });
      }
      if (signal.aborted || this.connection.kind !== "waiting") return;
      const woken = new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      await Promise.race([woken, this.wait(pauseMs(this.connection.attempt, Math.random()))]);
      if (signal.aborted) return;
      this.step({ kind: "retry" });
    }
  }

  /** One connection from the greeting to its loss, which is an error. */
  private async once(client: WorkerClient, signal: AbortSignal): Promise<never> {
    const greeting = AbortSignal.any([signal, AbortSignal.timeout(this.greetingMs)]);
    await client.health(greeting);
    const about = await client.about(greeting);
    const jobs = await client.jobs(greeting);
    if (signal.aborted) throw stopped();
    this.listener.greeted(about, jobs);
    this.step({ kind: "answered" });
    for await (const event of client.events(this.last, signal)) {
      if (signal.aborted) throw stopped();
      if (event.id) this.last = event.id;
      if (event.event === "job") this.listener.told(JSON.parse(event.data) as JobJson);
      // A backup took the place of what this page has seen.
      else if (event.event === "reset") this.listener.greeted(about, await client.jobs(signal));
      else if (event.event === "gone") this.listener.gone(String((JSON.parse(event.data) as { id?: unknown }).id ?? ""));
    }
    throw stopped();
  }
}

function stopped(): WorkerError {
  const record: ErrorJson = { kind: "Cancelled", code: "worker-unreachable", message: "The connection was closed.", hint: "", where: {}, values: {} };
  return new WorkerError(record, null);
}
