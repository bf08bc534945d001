/** What the page and the Python worker say to each other. */

/** Addresses relative to the page and facts of this build; written by the build into index.html. */
export interface BuildRecord {
  /** Hash of everything; names the service worker's cache. */
  build: string;
  /** Folder of bundles, such as `app-1f2e/`. */
  app: string;
  /** Folder of the Python payload, such as `py-9a8b/`. */
  python: string;
  /** Bytes of each payload file, for an honest progress line. */
  sizes: Record<string, number>;
  /** Whether a heap snapshot was built. */
  snapshot: boolean;
}

export type StartMode = "snapshot" | "pyc";

/** Which of the engine's abilities were found, and why one is missing. */
export interface EngineFeatures {
  jspi: boolean;
  webgpu: boolean;
  simd: boolean;
  relaxedSimd: boolean;
  isolated: boolean;
  snapshot: boolean;
  /** Why the snapshot was not used; empty when it was. */
  snapshotReason: string;
}

export type ToWorker =
  | { type: "start"; base: string; build: BuildRecord; mode: StartMode; reason: string }
  | { type: "linked" }
  | { type: "patch"; patch: unknown }
  | { type: "call"; id: number; method: string; args: string; buffers: ArrayBuffer[] }
  /** The caller does not want the answer any more. */
  | { type: "cancel"; id: number };

export type FromWorker =
  | { type: "status"; message: string; fraction: number }
  /** The document to show; `null` where it is the prerendered one by construction. */
  | { type: "document"; texts: [docsJson: string, renderItems: string, rootIds: string] | null }
  | { type: "ready"; features: EngineFeatures; cpuMs: number }
  | { type: "patch"; patch: unknown; buffers: Map<string, ArrayBuffer> }
  | { type: "idle" }
  /** How far a call is: JSON. */
  | { type: "news"; id: number; text: string }
  | { type: "reply"; id: number; ok: boolean; text: string; buffers: ArrayBuffer[] }
  | { type: "failed"; message: string };
