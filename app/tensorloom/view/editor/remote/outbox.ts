/**
 * What is on its way to a worker: kept in this browser until the worker has it, and sent again after
 * every loss, the same request under the same key, so that nothing runs twice.
 */

import type { ErrorJson } from "../protocol.ts";
import { refused } from "./address.ts";
import { pauseMs } from "./connection.ts";
import type { Line } from "./follower.ts";
import { WorkerError } from "./http.ts";
import { JobStore } from "./jobStore.ts";
import type { SentJob } from "./jobs.ts";
import { pause } from "./pause.ts";
import { packedRequest } from "./requests.ts";
import type { RemoteView } from "./view.ts";
import type { JobJson } from "./wire.ts";

/** What the outbox asks, and whom it tells. */
export interface Sender {
  /** Where jobs can be sent now; null while the worker does not answer. */
  line(): Line | null;
  changed(): void;
  arrived(job: JobJson): void;
  /** The worker does not want it; it is not sent again. */
  refused(error: ErrorJson): void;
}

export class Outbox {
  /** All that was sent from this browser and is still remembered. */
  sent: readonly SentJob[] = [];
  /** Arrays on their way [bytes]. */
  upload: RemoteView["upload"] = null;
  /** Why the worker, which answers, does not take what waits: its disk is full, say. */
  held: ErrorJson | null = null;
  private tries = 0;
  private isWaiting = false;
  private kept: JobStore | null = null;
  private readonly delivering = new Set<string>();
  private readonly failures = new Map<string, ErrorJson>();

  constructor(
    private readonly sender: Sender,
    private readonly wait: (tries: number, lost: AbortSignal) => Promise<void> = (tries, lost) => pause(pauseMs(tries, Math.random()), lost),
  ) {}

  async open(): Promise<void> {
    this.kept = await JobStore.open();
    this.sent = await this.kept.all();
  }

  find(key: string): SentJob | undefined {
    return this.sent.find((one) => one.key === key);
  }

  /** Why the worker did not want it. */
  failure(key: string): ErrorJson | undefined {
    return this.failures.get(key);
  }

  /** Takes a job; it is on this disk when the promise resolves. What cannot be kept is not sent. */
  async add(job: SentJob): Promise<void> {
    try {
      await this.kept?.save(job);
    } catch (error) {
      console.warn("A job could not be kept.", error);
      throw refused("worker-not-kept", "This browser has no room to keep the job until the worker has it.", "Free storage of this site, or send less at once.");
    }
    this.sent = [...this.sent, job];
    this.sender.changed();
    void this.deliver(job);
  }

  async forget(key: string): Promise<void> {
    this.sent = this.sent.filter((one) => one.key !== key);
    await this.kept?.forget(key);
  }

  /** Sends what could not be sent before. */
  async flush(): Promise<void> {
    for (const job of this.sent.filter(({ id }) => id === null)) await this.deliver(job);
  }

  private async deliver(sent: SentJob): Promise<void> {
    const line = this.sender.line();
    if (!line || line.client.worker.address !== sent.worker || this.delivering.has(sent.key)) return;
    this.delivering.add(sent.key);
    try {
      await this.bring(sent, line);
      this.tries = 0;
      this.held = null;
    } catch (error) {
      if (!(error instanceof WorkerError)) throw error;
      if (error.isPassing) void this.later(error, line);
      else this.fail(sent.key, error.record);
    } finally {
      this.delivering.delete(sent.key);
      this.upload = null;
      this.sender.changed();
    }
  }

  /** Tries again after a while, or as soon as the line is lost: there may be another one by then. */
  private async later(error: WorkerError, { lost }: Line): Promise<void> {
    this.held = error.status === null ? null : error.record;
    // One wait for all that could not be sent.
    if (this.isWaiting) return;
    this.isWaiting = true;
    this.tries += 1;
    await this.wait(this.tries, lost);
    this.isWaiting = false;
    await this.flush();
  }

  private async bring(sent: SentJob, { client, lost }: Line): Promise<void> {
    const { request, files } = await packedRequest(sent);
    const of = [...files.values()].reduce((sum, file) => sum + file.byteLength, 0);
    const have = files.size ? await client.offsets([...files.keys()], lost) : new Map<string, number>();
    let before = 0;
    for (const [sha256, file] of files) {
      await client.upload(sha256, file, have.get(sha256) ?? 0, { said: (done) => this.uploaded(before + done, of), wait: (tries) => this.wait(tries, lost), signal: lost });
      before += file.byteLength;
    }
    const job = await client.submit(request, sent.key, lost);
    if (!this.find(sent.key)) {
      // Cancelled while it was on its way.
      await client.cancel(job.id);
      return;
    }
    const known = { ...sent, id: job.id, ...(sent.batch ? { batch: {} } : {}) };
    this.sent = this.sent.map((one) => (one.key === sent.key ? known : one));
    this.sender.arrived(job);
    // As it was kept, it would be sent again under its key, which starts nothing.
    await this.kept?.save(known).catch((error: unknown) => console.warn("The number of a job could not be kept.", error));
  }

  private uploaded(done: number, of: number): void {
    this.upload = { done, of };
    this.sender.changed();
  }

  private fail(key: string, error: ErrorJson): void {
    this.held = null;
    this.failures.set(key, error);
    void this.forget(key);
    this.sender.refused(error);
  }
}
