/**
 * One text in IndexedDB: the kernel database (`execute/kernel_store.py`). A browser that keeps
 * nothing, as in some private windows, gives nothing back; tuning then begins anew.
 */

const NAME = "tensorloom-kernels";
const STORE = "texts";
const KEY = "kernels";

export interface KernelStore {
  load(): Promise<string | null>;
  save(text: string): Promise<void>;
}

function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("IndexedDB refused."));
  });
}

async function opened(): Promise<IDBObjectStore> {
  const request = indexedDB.open(NAME, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE);
  const database = await settled(request);
  return database.transaction(STORE, "readwrite").objectStore(STORE);
}

export function createKernelStore(): KernelStore {
  return {
    async load() {
      try {
        const text: unknown = await settled((await opened()).get(KEY));
        return typeof text === "string" ? text : null;
      } catch {
        return null;
      }
    },
    async save(text) {
      try {
        await settled((await opened()).put(text, KEY));
      } catch {
        // Nothing depends on it.
      }
    },
  };
}
