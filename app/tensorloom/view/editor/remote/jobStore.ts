/**
 * What this browser remembers: the worker it is connected to, and the drawings of the jobs it sent.
 *
 * The connection, with its token, lies in this origin's local storage and goes nowhere else; the
 * drawings lie in IndexedDB. Where a browser refuses storage, both last as long as the page.
 */

import type { Worker } from "./address.ts";
import type { SentJob } from "./jobs.ts";
import { CONNECTION_KEY } from "./remembered.ts";

const NAME = "tensorloom-worker";
const MOST_JOBS = 200;

export function rememberedWorker(): Worker | null {
  try {
    const kept = JSON.parse(localStorage.getItem(CONNECTION_KEY) ?? "null") as Partial<Worker> | null;
    return typeof kept?.address === "string" && typeof kept.token === "string" ? { address: kept.address, token: kept.token } : null;
  } catch {
    return null;
  }
}

export function rememberWorker(worker: Worker | null): void {
  try {
    if (worker) localStorage.setItem(CONNECTION_KEY, JSON.stringify(worker));
    else localStorage.removeItem(CONNECTION_KEY);
  } catch {
    // Kept in memory only.
  }
}

function asPromise<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB refused."));
  });
}

export class JobStore {
  private constructor(private readonly database: IDBDatabase | null) {}

  static async open(): Promise<JobStore> {
    try {
      const request = indexedDB.open(NAME, 1);
      request.onupgradeneeded = () => request.result.createObjectStore("jobs", { keyPath: "key" });
      return new JobStore(await asPromise(request));
    } catch {
      return new JobStore(null);
    }
  }

  /** All of them, oldest first. */
  async all(): Promise<SentJob[]> {
    if (!this.database) return [];
    const found = (await asPromise(this.database.transaction("jobs").objectStore("jobs").getAll())) as SentJob[];
    return found.sort((one, other) => one.sentAt - other.sentAt);
  }

  /** On disk when the promise resolves; the oldest beyond the most are forgotten. */
  async save(job: SentJob): Promise<void> {
    if (!this.database) return;
    const old = (await this.all()).filter(({ key }) => key !== job.key);
    const write = this.database.transaction("jobs", "readwrite", { durability: "strict" });
    const jobs = write.objectStore("jobs");
    jobs.put(job);
    for (const { key } of old.slice(0, Math.max(0, old.length + 1 - MOST_JOBS))) jobs.delete(key);
    await finished(write);
  }

  async forget(key: string): Promise<void> {
    if (!this.database) return;
    const write = this.database.transaction("jobs", "readwrite");
    write.objectStore("jobs").delete(key);
    await finished(write);
  }
}

function finished(write: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    write.oncomplete = () => resolve();
    // Where there is no room, a transaction may be given up at its end, and no request of it fails.
    write.onabort = () => reject(write.error ?? new Error("The job could not be kept."));
  });
}

/** The bytes of arrays that drawings refer to, from the store that the drafts keep them in. */
export async function storedBytes(hashes: readonly string[]): Promise<Map<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  if (hashes.length === 0) return found;
  const database = await asPromise(indexedDB.open("tensorloom"));
  try {
    const blobs = database.transaction("blobs").objectStore("blobs");
    for (const hash of hashes) {
      const kept = (await asPromise(blobs.get(hash))) as { base64: string } | undefined;
      if (kept) found.set(hash, Uint8Array.from(atob(kept.base64), (letter) => letter.charCodeAt(0)));
    }
  } finally {
    database.close();
  }
  return found;
}
