/** Fetches the payload in parallel and reports true progress: bytes received of bytes known. */

import type { BuildRecord, StartMode } from "./messages.ts";

export type Fetched = Map<string, Promise<ArrayBuffer>>;
export type Status = (message: string, fraction: number) => void;

export const FILES: Record<StartMode, readonly string[]> = {
  snapshot: ["snapshot.bin.gz", "libraries.bin.gz", "files.bin.gz"],
  pyc: ["numpy.bin.gz", "site.bin.gz", "tensorloom.bin.gz"],
};

/** Starts all downloads of a mode at once; each promise holds the whole file, inflated if `.gz`. */
export function fetchAll(base: string, build: BuildRecord, mode: StartMode, status: Status): Fetched {
  const names = FILES[mode];
  const total = names.reduce((sum, name) => sum + (build.sizes[name] ?? 0), 0);
  let received = 0;
  const progress = (bytes: number) => {
    received += bytes;
    const share = total > 0 ? Math.min(1, received / total) : 0;
    status(`Fetching Python, ${(received / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB`, 0.05 + 0.5 * share);
  };
  progress(0);
  return new Map(
    names.map((name) => {
      const file = fetchOne(new URL(`${build.python}${name}`, base), progress);
      // Whoever waits for the file sees the error; if the start failed before, nobody does.
      file.catch(() => undefined);
      return [name, file];
    }),
  );
}

/** A whole file, inflated if it is packed: some hosts unpack `.gz` on the way, most do not. */
export async function fetchOne(address: URL, progress: (bytes: number) => void = () => undefined): Promise<ArrayBuffer> {
  const response = await fetch(address);
  if (!response.ok || !response.body) throw new Error(`${address.pathname}: ${response.status}`);
  const reader = response.body.getReader();
  const first = await reader.read();
  const packed = first.value?.[0] === 0x1f && first.value[1] === 0x8b;
  const bytes = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      progress(first.value?.byteLength ?? 0);
      if (first.value) controller.enqueue(first.value);
    },
    async pull(controller) {
      const part = await reader.read();
      progress(part.value?.byteLength ?? 0);
      if (part.value) controller.enqueue(part.value);
      if (part.done) controller.close();
    },
  });
  return new Response(packed ? bytes.pipeThrough(new DecompressionStream("gzip")) : bytes).arrayBuffer();
}
