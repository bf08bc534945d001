/**
 * The page's dealings with a worker: what was sent, how it stands, and where its value belongs.
 *
 * A job remembers the drawing that it was sent with. Its value is shown as that drawing's, at once
 * if the drawing is still there, or when it is opened again; never as the value of another one.
 * Nothing is asked of any worker unless the user has connected the page to it.
 *
 * A few lines above 500: what could stand alone (estimates, uploads, loans to scripts) does; the rest
 * is one state, of which each part reads the others.
 */

import { saveFile } from "../chrome/clipboard.ts";
import type { DocumentJson, DType, ErrorJson } from "../protocol.ts";
import type { EditorState, EditorStore } from "../store.ts";
import { isTrustedByLink, refused, shortAddress, USUAL_ADDRESS, type Worker } from "./address.ts";
import type { Connection } from "./connection.ts";
import { download } from "./download.ts";
import { Estimates } from "./estimates.ts";
import { Follower, type Line } from "./follower.ts";
import { WorkerError } from "./http.ts";
import { rememberedWorker, rememberWorker } from "./jobStore.ts";
import { jobOf, listed, type ListedJob, revisionOf, type SentJob } from "./jobs.ts";
import { KnownJobs } from "./knownJobs.ts";
import { Lending } from "./loan.ts";
import { readNpy } from "./npy.ts";
import { notConnected, reachable } from "./reach.ts";
import { Outbox } from "./outbox.ts";
import { freshKey, orderOf } from "./requests.ts";
import { CONNECTION_KEY } from "./remembered.ts";
import { type RemoteView, viewOf } from "./view.ts";
import { Watchers } from "./watchers.ts";
import { type AboutJson, isOver, type JobJson, type JobPageJson, type JobResultJson } from "./wire.ts";

/** Larger values are offered as files only: look inside and history live in the tab's memory [bytes]. */
export const MOST_SHOWN_BYTES = 256 * 1024 * 1024;

export interface PythonCalls {
  call(method: string, args: unknown, buffers?: ArrayBuffer[]): Promise<{ text: string; buffers: ArrayBuffer[] }>;
}

/** What is asked for beside the drawing. */
export interface Asked {
  dtype?: DType | null;
  backend?: string | undefined;
  batch?: SentJob["batch"];
}

/** How far a job has come, for scripts. */
export interface JobNews {
  job: string;
  state: JobJson["state"];
  fraction: number;
  etaMs: number | null;
}

export interface RunAsked extends Asked {
  signal?: AbortSignal | undefined;
  onProgress?: ((news: JobNews) => void) | undefined;
}

export interface Computed {
  job: JobJson;
  result: JobResultJson;
  value: ArrayBuffer;
}

export class RemoteDesk {
  private readonly follower: Follower;
  private about: AboutJson | null = null;
  private readonly jobs = new KnownJobs();
  private readonly outbox: Outbox;
  private readonly estimates: Estimates;
  private asked: string | null = null;
  private askedToken = "";
  /** What the form begins with. */
  typed = USUAL_ADDRESS;
  /** Jobs that were seen at work: their value is awaited, not just remembered. */
  private readonly awaited = new Set<string>();
  /** Jobs whose news was put aside. */
  private readonly known = new Set<string>();
  /** The job whose value is shown, and the revision that it was shown for. */
  private landed: { id: string; revision: string } | null = null;
  /** A value on its way here, and the drawing that it belongs to. */
  private fetching: { revision: string; done: number; of: number } | null = null;
  private readonly watchers = new Watchers();
  private readonly lending: Lending;
  private started: Promise<void> | null = null;

  constructor(
    private readonly store: EditorStore,
    private readonly python: PythonCalls,
  ) {
    this.follower = new Follower({
      changed: (connection) => this.connectionChanged(connection),
      greeted: (about, jobs) => this.greeted(about, jobs),
      told: (job) => this.told(job),
      gone: (id) => {
        this.jobs.drop(id);
        this.publish();
      },
    });
    this.lending = new Lending({
      connection: () => this.follower.connection,
      follow: (worker) => this.follow(worker),
      answered: (worker) => this.connected(worker),
    });
    const line = () => this.follower.line;
    const changed = () => this.publish();
    this.estimates = new Estimates(line, changed);
    this.outbox = new Outbox({ line, changed, arrived: (job) => this.arrived(job), refused: (error) => this.store.complain(error) });
  }

  /** Takes up where the last visit stopped; once. */
  start(): Promise<void> {
    this.started ??= this.begin();
    return this.started;
  }

  private async begin(): Promise<void> {
    await this.outbox.open();
    let before: EditorState | null = null;
    this.store.subscribe(() => {
      const now = this.store.get();
      const isNews = now.document !== before?.document || now.plan !== before.plan || now.backend !== before.backend || now.stale !== before.stale || now.ready !== before.ready || now.behind !== before.behind;
      before = now;
      if (isNews && !now.held) this.publish();
    });
    globalThis.addEventListener("online", () => this.follower.retry());
    globalThis.addEventListener("storage", (event: Event) => {
      // Another tab of this browser connected or disconnected.
      if ((event as StorageEvent).key === CONNECTION_KEY) this.takeRemembered();
    });
    this.takeRemembered();
    this.publish();
  }

  private takeRemembered(): void {
    const worker = rememberedWorker();
    if (this.lending.comesBackTo(worker)) return;
    const { connection } = this.follower;
    if (!worker) this.follower.disconnect();
    else if (connection.kind === "off" || connection.worker.address !== worker.address || connection.worker.token !== worker.token) this.follower.connect(worker);
  }

  // --- the connection -------------------------------------------------------------------------

  /** Connects; remembered once it has answered. */
  connect(typed: string, token: string): void {
    const worker = reachable(typed, token);
    this.asked = null;
    this.askedToken = "";
    this.lending.end(notConnected());
    this.follow(worker);
  }

  /** Another worker, or none; it may call its jobs the same. */
  private follow(worker: Worker | null): void {
    this.jobs.begin({ jobs: [] });
    this.awaited.clear();
    this.known.clear();
    this.landed = null;
    this.about = null;
    if (worker) this.follower.connect(worker);
    else this.follower.disconnect();
  }

  /** Leaves what is shown as connected: the worker of a script, for the page's own, or that one. */
  disconnect(): void {
    const own = this.lending.end(notConnected());
    if (!own) {
      rememberWorker(null);
      // Who disconnects after a refusal mends the token, not the address.
      const { connection } = this.follower;
      if (connection.kind !== "off") this.typed = connection.worker.address;
    }
    this.follow(own ?? null);
    if (!own && this.store.get().backend === "worker") this.store.set({ backend: "auto" });
  }

  retry(): void {
    this.follower.retry();
  }

  /** A link `#worker=…&token=…`: connects where that is safe to do unasked, else asks. */
  openLink(worker: Worker): void {
    const connection = this.follower.connection;
    const now = connection.kind === "off" ? null : connection.worker.address;
    // A link without a token is what a worker prints that was here before.
    if (!worker.token && worker.address === now) return;
    try {
      if (!worker.token && isTrustedByLink(worker.address, location.origin, now)) {
        this.typed = worker.address;
        this.store.set({ dialog: "worker" });
        return;
      }
      if (worker.token && isTrustedByLink(worker.address, location.origin, now)) {
        this.connect(worker.address, worker.token);
        return;
      }
    } catch (error) {
      this.store.complain(error as ErrorJson);
      return;
    }
    this.asked = worker.address;
    this.askedToken = worker.token;
    this.publish();
    this.store.set({ dialog: "worker" });
  }

  /** The user's answer to a link that asked. */
  answerLink(yes: boolean): void {
    const { asked, askedToken } = this;
    this.asked = null;
    this.askedToken = "";
    if (yes && asked !== null) this.connect(asked, askedToken);
    this.publish();
  }

  /** Whether the link that asks brought a token. */
  get linkHasToken(): boolean {
    return this.askedToken !== "";
  }

  private connectionChanged(connection: Connection): void {
    if (connection.kind !== "on") this.estimates.forget();
    // Not before: a token that is mistyped must not take the place of the one that opens.
    else if (!this.lending.isOut) rememberWorker(connection.worker);
    this.publish();
    if (connection.kind === "on") void this.outbox.flush();
  }

  private greeted(about: AboutJson, page: JobPageJson): void {
    this.about = about;
    this.jobs.begin(page);
    page.jobs.forEach((job) => this.expect(job));
    this.publish();
  }

  /** Older jobs of the worker, for the list. */
  async older(): Promise<void> {
    const coming = this.attempt(async (client) => (await this.jobs.takeOlder((before) => client.jobs(undefined, before))).forEach((job) => this.expect(job)));
    this.publish();
    await coming;
    this.publish();
  }

  private told(job: JobJson): void {
    this.take(job);
    this.publish();
  }

  private take(job: JobJson): void {
    this.jobs.put(job);
    this.expect(job);
  }

  private expect({ id, state }: JobJson): void {
    if (!isOver(state)) this.awaited.add(id);
  }

  // --- jobs -----------------------------------------------------------------------------------

  /** Sends the drawing that is shown; resolves with the key of the job once it is kept here. */
  async send({ dtype = null, backend, batch }: Asked = {}): Promise<string> {
    const connection = this.follower.connection;
    if (connection.kind === "off") throw notConnected();
    const { document: shown, plan } = this.store.get();
    const sentDocument: DocumentJson = dtype === null ? shown : { ...shown, dtype };
    const key = freshKey();
    const sent: SentJob = {
      key, worker: connection.worker.address, id: null, document: sentDocument, revision: batch ? `batch ${key}` : revisionOf(sentDocument), sentAt: Date.now(),
      ...(plan?.inputs.length === shown.tensors.length ? { plan: orderOf(plan) } : {}),
      ...(backend ? { backend } : {}),
      ...(batch ? { batch } : {}),
    };
    await this.outbox.add(sent);
    return key;
  }

  /** Sends the drawing that is shown; the user is told why, where that cannot be. */
  async submit(): Promise<void> {
    await this.send().catch((error: unknown) => this.store.complain(error as ErrorJson));
  }

  private arrived(job: JobJson): void {
    // The stream may have told of it already, and more of it.
    if (!this.jobs.get(job.id)) this.take(job);
    this.awaited.add(job.id);
  }

  async cancel(line: ListedJob): Promise<void> {
    if (!line.job) {
      await this.outbox.forget(line.name);
      this.publish();
      return;
    }
    await this.attempt(async (client) => this.told(await client.cancel(line.name)));
  }

  async remove(line: ListedJob): Promise<void> {
    await this.attempt(async (client) => {
      await client.remove(line.name);
      this.jobs.drop(line.name);
      if (line.sent) await this.outbox.forget(line.sent.key);
      this.publish();
    });
  }

  /** The .npy file of a job that is done, saved where the browser saves files. */
  async save(line: ListedJob): Promise<void> {
    const { job } = line;
    if (!job?.result) return;
    const { result } = job;
    const mine = this.worker;
    await this.attempt(async () => {
      const value = await download(job, result, () => this.line(mine));
      if (!value) return;
      saveFile(`${(job.title || "result").replace(/[^\p{L}\p{N} _-]+/gu, "_").slice(0, 80)}.npy`, value, "application/octet-stream");
    });
  }

  private async attempt(action: (client: NonNullable<Follower["client"]>) => Promise<void>): Promise<void> {
    const { client } = this.follower;
    if (!client) return;
    try {
      await action(client);
    } catch (error) {
      if (!(error instanceof WorkerError)) throw error;
      this.store.complain(error.record);
    }
  }

  // --- values ---------------------------------------------------------------------------------

  /** Opens the drawing that a job was sent with, as one step that can be undone; its value follows. */
  open(line: ListedJob): void {
    if (line.job) this.known.add(line.job.id);
    if (!line.sent) return;
    if (line.job) this.awaited.add(line.job.id);
    this.landed = null;
    if (revisionOf(this.store.get().document) !== line.sent.revision) this.store.dispatch("Open", [{ kind: "replace-document", document: line.sent.document }]);
    this.store.set({ dialog: null });
    this.publish();
  }

  /** The news of a job is known now. */
  putAside(line: ListedJob): void {
    if (line.job) this.known.add(line.job.id);
    this.publish();
  }

  /** Brings the value of the drawing's own job into the page, where the tab has none and when it is awaited. */
  private landIfDue(list: readonly ListedJob[]): void {
    const state = this.store.get();
    const revision = revisionOf(state.document);
    if (this.landed?.revision !== revision) this.landed = null;
    const line = jobOf(list, revision);
    const { job } = line ?? {};
    if (!job?.result || job.state !== "done" || !this.follower.line || this.lending.isOut || this.fetching || this.landed || !state.ready || state.behind || !state.plan || state.held) return;
    const isWanting = state.plan.refused !== null || state.stale !== null || this.awaited.has(job.id);
    if (!isWanting) return;
    this.fetching = { revision, done: 0, of: Number(job.result.bytes) };
    this.land(job, job.result, revision)
      .catch((error: unknown) => {
        // The user has let go of the worker.
        if (this.follower.connection.kind === "off") return;
        // Not tried again until the drawing or the job is another one.
        this.landed = { id: job.id, revision };
        if (error instanceof WorkerError) this.store.complain(error.record);
        else if (error !== null && typeof error === "object" && "code" in error) this.store.complain(error as ErrorJson);
        else throw error;
      })
      .finally(() => {
        this.fetching = null;
        this.publish();
      });
  }

  private async land(job: JobJson, result: JobResultJson, revision: string): Promise<void> {
    if (Number(result.bytes) > MOST_SHOWN_BYTES)
      throw refused("worker-large-result", `The value of this job is too large to be shown here (${result.bytes} bytes).`, "Save it as a file from the list of jobs.");
    const mine = this.worker;
    const isWanted = () => revisionOf(this.store.get().document) === revision;
    const file = await download(job, result, () => this.line(mine), { isWanted, said: (done) => this.fetched({ revision, done, of: Number(result.bytes) }) });
    await this.store.settled();
    if (!file || !isWanted()) return;
    const facts = {
      log10Scale: result.log10Scale, errorBound: result.errorBound, ms: result.ms, mulAdds: result.mulAdds,
      predictedMs: job.estimate?.predictedMs ?? result.ms, peakBytes: String(job.estimate?.peakBytesPerWorker ?? "0"),
      note: `Computed by ${result.backend} on the worker at ${shortAddress(this.address)}.`,
    };
    await this.python.call("take", facts, [file]);
    this.landed = { id: job.id, revision };
    this.awaited.delete(job.id);
    this.known.add(job.id);
  }

  private fetched(now: NonNullable<typeof this.fetching>): void {
    const before = this.fetching?.done ?? 0;
    this.fetching = now;
    // It comes in many small parts.
    if (Math.floor((100 * now.done) / now.of) !== Math.floor((100 * before) / now.of)) this.publish();
  }

  private get worker(): Worker | null {
    const { connection } = this.follower;
    return connection.kind === "off" ? null : connection.worker;
  }

  /** Of the worker; empty where there is none. */
  private get address(): string {
    return this.worker?.address ?? "";
  }

  // --- scripts --------------------------------------------------------------------------------

  /** Sends what is shown and waits for its value, on the named worker or the page's; for `window.tensorloom.run`. */
  async run({ worker, ...asked }: RunAsked & { worker?: Worker | undefined }): Promise<Computed> {
    await this.start();
    const named = worker ? reachable(worker.address, worker.token) : null;
    return this.lending.during(named, (mine) => this.runOn(mine, asked));
  }

  private async runOn(worker: Worker | null, { signal, onProgress, ...asked }: RunAsked): Promise<Computed> {
    do await this.connected(worker);
    while (this.lending.isOutFor(worker));
    const key = await this.send(asked);
    const job = await this.over(key, signal, onProgress);
    if (job.state === "cancelled") throw { code: "cancelled", where: {}, hint: "", message: "The job was cancelled." };
    if (job.state === "failed" || !job.result) throw job.error ?? refused("worker-answer", "The job failed without a word.", "Look at what the worker printed.");
    const file = await download(job, job.result, () => this.line(worker), { isWanted: () => !signal?.aborted }).catch((error: unknown) => {
      throw error instanceof WorkerError ? error.record : error;
    });
    if (!file) throw { code: "cancelled", where: {}, hint: "", message: "The job was cancelled." };
    return { job, result: job.result, value: readNpy(file).data };
  }

  /** The connection, once the worker answers; where it is away, that may take long. */
  private async line(mine: Worker | null): Promise<Line> {
    await this.watchers.until(() => {
      if (this.lending.isOutFor(mine)) return false;
      const { connection } = this.follower;
      if (connection.kind === "off" || connection.kind === "refused") throw new WorkerError(connection.kind === "off" ? notConnected() : connection.error, null);
      return connection.kind === "on";
    });
    return this.follower.line ?? this.line(mine);
  }

  /** Resolves when the worker has answered; rejects where it refuses, or is none. */
  private async connected(mine: Worker | null): Promise<void> {
    await this.watchers.until(() => {
      if (this.lending.isOutFor(mine)) return false;
      const { connection } = this.follower;
      if (connection.kind === "off") throw notConnected();
      if (connection.kind === "refused" || connection.kind === "waiting") throw connection.error;
      return connection.kind === "on";
    });
  }

  /** The job once it is over; a signal cancels it. */
  private async over(key: string, signal?: AbortSignal, onProgress?: (news: JobNews) => void): Promise<JobJson> {
    let told = "";
    const find = () => this.outbox.find(key);
    const cancel = () => {
      const sent = find();
      if (sent) void this.cancel({ name: sent.id ?? sent.key, job: sent.id === null ? null : (this.jobs.get(sent.id) ?? null), sent });
    };
    signal?.addEventListener("abort", cancel, { once: true });
    if (signal?.aborted) cancel();
    let over: JobJson | null = null;
    try {
      await this.watchers.until(() => {
        const failure = this.outbox.failure(key);
        if (failure) throw failure;
        const sent = find();
        if (!sent) throw { code: "cancelled", where: {}, hint: "", message: "The job was cancelled." };
        const job = sent.id === null ? undefined : this.jobs.get(sent.id);
        if (!job) return false;
        const news: JobNews = { job: job.id, state: job.state, fraction: job.progress.fraction, etaMs: job.progress.etaMs ?? null };
        const text = JSON.stringify(news);
        if (text !== told) onProgress?.(news);
        told = text;
        if (signal?.aborted && !isOver(job.state)) cancel();
        over = job;
        return isOver(job.state);
      });
    } finally {
      signal?.removeEventListener("abort", cancel);
    }
    return over as unknown as JobJson;
  }

  // --- what is shown --------------------------------------------------------------------------

  private publish(): void {
    const { connection } = this.follower;
    const state = this.store.get();
    const jobs = listed(this.jobs.values(), this.outbox.sent, this.address);
    const revision = revisionOf(state.document);
    this.landIfDue(jobs);
    const news = jobs.find(({ job, sent }) => job?.state === "done" && sent && !sent.batch && sent.revision !== revision && this.awaited.has(job.id) && !this.known.has(job.id)) ?? null;
    this.store.set({
      remote: { connection: viewOf(connection), about: this.about, jobs, older: this.jobs.older, current: jobOf(jobs, revision), news, estimate: this.estimates.current, upload: this.outbox.upload, fetching: this.fetching?.revision === revision ? this.fetching : null, held: this.outbox.held, asked: this.asked },
    });
    if (connection.kind === "on" && this.estimates.askIfDue(state, revision)) this.store.set({ remote: { ...(this.store.get().remote as RemoteView), estimate: this.estimates.current } });
    this.watchers.look();
  }
}
