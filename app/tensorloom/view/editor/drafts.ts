/**
 * Drafts in IndexedDB: every committed gesture is written at once, each tab under its own key.
 *
 * A link never overwrites a draft: what is opened from one becomes a draft of its own, and the
 * former one waits under its key. Arrays are kept beside, by hash.
 */

import type { DocumentJson } from "./protocol.ts";

export interface Drafts {
  save(document: DocumentJson): Promise<void>;
  blobs(hashes: readonly string[]): Promise<{ hash: string; base64: string }[]>;
  keepBlob(hash: string, base64: string): Promise<void>;
}

export const noDrafts: Drafts = {
  save: () => Promise.resolve(),
  blobs: () => Promise.resolve([]),
  keepBlob: () => Promise.resolve(),
};

export interface Draft {
  key: string;
  /** Milliseconds since 1970. */
  savedAt: number;
  document: DocumentJson;
}

const NAME = "tensorloom";
const MOST_DRAFTS = 30;
/** Between tries to keep an array that found no room: it may be large. */
const TRY_AGAIN_MS = 3000;

function asPromise<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB refused."));
  });
}

/** Resolves when all that a transaction wrote is kept; a browser without room may only say so then. */
function written(write: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    write.oncomplete = () => resolve();
    const refuse = () => reject(write.error ?? new Error("The browser kept nothing."));
    write.onerror = refuse;
    write.onabort = refuse;
  });
}

function opened(): Promise<IDBDatabase> {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => {
    request.result.createObjectStore("drafts", { keyPath: "key" }).createIndex("savedAt", "savedAt");
    request.result.createObjectStore("blobs", { keyPath: "hash" });
  };
  return asPromise(request);
}

export class IndexedDrafts implements Drafts {
  private chain: Promise<unknown> = Promise.resolve();
  /** Arrays that found no room, by hash. */
  private readonly unkept = new Map<string, string>();
  private triedAgain = -TRY_AGAIN_MS;

  private constructor(
    private readonly database: IDBDatabase,
    private key: string,
  ) {}

  /** Opens the store; null where the browser has none (private windows of some engines). */
  static async open(): Promise<IndexedDrafts | null> {
    try {
      return new IndexedDrafts(await opened(), sessionStorage.getItem("tensorloom-draft") ?? "");
    } catch {
      return null;
    }
  }

  /** This tab's own draft, or else the latest of any tab. */
  async latest(): Promise<DocumentJson | null> {
    const drafts = this.database.transaction("drafts").objectStore("drafts");
    const own = this.key ? ((await asPromise(drafts.get(this.key))) as Draft | undefined) : undefined;
    if (own) return own.document;
    const all = (await asPromise(drafts.index("savedAt").getAll())) as Draft[];
    return all.at(-1)?.document ?? null;
  }

  /** Drawings of other tabs, closed ones too, newest first and each once; empty papers are none. */
  async others(shown: DocumentJson): Promise<Draft[]> {
    const drafts = this.database.transaction("drafts").objectStore("drafts");
    const all = (await asPromise(drafts.index("savedAt").getAll())) as Draft[];
    const seen = new Set([JSON.stringify(shown)]);
    return all.reverse().filter(({ key, document }) => {
      const text = JSON.stringify(document);
      const isNew = !seen.has(text);
      seen.add(text);
      return isNew && key !== this.key && document.tensors.length > 0;
    });
  }

  /** From now on saves go to a draft of their own; what is there already stays. */
  startNew(): void {
    this.key = crypto.randomUUID();
    sessionStorage.setItem("tensorloom-draft", this.key);
  }

  async save(document: DocumentJson): Promise<void> {
    if (!this.key) this.startNew();
    const draft: Draft = { key: this.key, savedAt: Date.now(), document };
    // "strict": the bytes are on disk before the promise resolves, so a crash loses nothing older.
    const write = this.database.transaction("drafts", "readwrite", { durability: "strict" });
    const drafts = write.objectStore("drafts");
    drafts.put(draft);
    const keys = drafts.index("savedAt").getAllKeys();
    keys.onsuccess = () => {
      for (const old of keys.result.slice(0, -MOST_DRAFTS)) drafts.delete(old);
    };
    await written(write);
    if (this.unkept.size > 0) await this.keepRest();
  }

  /** Tries again to keep arrays that found no room, though not at every gesture. */
  private async keepRest(): Promise<void> {
    if (performance.now() - this.triedAgain < TRY_AGAIN_MS) throw new Error("There was no room for an array.");
    this.triedAgain = performance.now();
    await Promise.all([...this.unkept].map(([hash, base64]) => this.keepBlob(hash, base64)));
  }

  async blobs(hashes: readonly string[]): Promise<{ hash: string; base64: string }[]> {
    const kept = this.database.transaction("blobs").objectStore("blobs");
    const found = await Promise.all(hashes.map((hash) => asPromise(kept.get(hash)) as Promise<{ hash: string; base64: string } | undefined>));
    return found.filter((blob) => blob !== undefined);
  }

  keepBlob(hash: string, base64: string): Promise<void> {
    const put = async () => {
      try {
        const write = this.database.transaction("blobs", "readwrite");
        write.objectStore("blobs").put({ hash, base64 });
        await written(write);
        this.unkept.delete(hash);
      } catch (error) {
        this.unkept.set(hash, base64);
        throw error;
      }
    };
    // One that found no room does not hold up those after it.
    const kept = this.chain.then(put, put);
    this.chain = kept.catch(() => undefined);
    return kept;
  }
}
