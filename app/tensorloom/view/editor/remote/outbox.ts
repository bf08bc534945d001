/**
 * What is on its way to a worker: kept in this browser until the worker has it, and sent again after
 * every loss, under the same key, so that nothing runs twice.
 */

import type { ErrorJson, PlanJson } from "../protocol.ts";
import { type WorkerClient, WorkerError } from "./http.ts";
import { JobStore } from "./jobStore.ts";
import type { SentJob } from "./jobs.ts";
import { packedRequest } from "./requests.ts";
import type { RemoteView } from "./view.ts";
import type { JobJson } from "./wire.ts";

/** What the outbox asks, and whom it tells. */
export interface Sender {
  /** Where jobs can be sent now; null while the worker does not answer. */
  client(): WorkerClient | null;
  /** The order found here for what was sent, while it is still shown. */
  planOf(sent: SentJob): PlanJson | null;
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
  private kept: JobStore | null = null;
  private readonly delivering = new Set<string>();
  private readonly failures = new Map<string, ErrorJson>();

  constructor(private readonly sender: Sender) {}

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

  /** Takes a job; it is on this disk when the promise resolves. */
  async add(job: SentJob): Promise<void> {
    this.sent = [...this.sent, job];
    await this.kept?.save(job);
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
    const client = this.sender.client();
    if (!client || client.worker.address !== sent.worker || this.delivering.has(sent.key)) return;
    this.delivering.add(sent.key);
    try {
      const { request, files } = await packedRequest(sent.document, this.sender.planOf(sent));
      const of = [...files.values()].reduce((sum, file) => sum + file.byteLength, 0);
      const have = files.size ? await client.offsets([...files.keys()]) : new Map<string, number>();
      let before = 0;
      for (const [sha256, file] of files) {
        const said = (done: number) => this.uploaded(before + done, of);
        await client.upload(sha256, file, have.get(sha256) ?? 0, said, (tries) => new Promise((resolve) => setTimeout(resolve, 500 * 2 ** tries)));
        before += file.byteLength;
      }
      const job = await client.submit(request, sent.key);
      const known = { ...sent, id: job.id };
      this.sent = this.sent.map((one) => (one.key === sent.key ? known : one));
      this.sender.arrived(job);
      await this.kept?.save(known);
    } catch (error) {
      if (!(error instanceof WorkerError)) throw error;
      // What is only passing is tried again when the worker answers again.
      if (!error.isPassing) this.fail(sent.key, error.record);
    } finally {
      this.delivering.delete(sent.key);
      this.upload = null;
      this.sender.changed();
    }
  }

  private uploaded(done: number, of: number): void {
    this.upload = { done, of };
    this.sender.changed();
  }

  private fail(key: string, error: ErrorJson): void {
    this.failures.set(key, error);
    void this.forget(key);
    this.sender.refused(error);
  }
}
