/**
 * The request for a job, made from a drawing: its document, its order, and the arrays beside it.
 */

import type { DocumentJson, DType, PlanJson, RecipeJson } from "../protocol.ts";
import { refused } from "./address.ts";
import { WorkerError } from "./http.ts";
import type { SentJob } from "./jobs.ts";
import { storedBytes } from "./jobStore.ts";
import { writeNpy } from "./npy.ts";
import type { JobRequestJson, PlanRequestJson } from "./wire.ts";

export interface PackedRequest {
  request: JobRequestJson;
  /** Files that the worker needs, by the hash of their bytes. */
  files: Map<string, Uint8Array<ArrayBuffer>>;
}

type Blob = Extract<RecipeJson, { kind: "blob" }>;

/** The request without its arrays: all that an estimate needs. */
export function bareRequest(document: DocumentJson, plan: PlanRequestJson | null, backend?: string): JobRequestJson {
  return { kind: "contract", title: document.title, document, dtype: document.dtype, ...(plan ? { plan } : {}), ...(backend ? { backend } : {}) };
}

/** The tab's order: what the worker finds is never worse. */
export function orderOf(plan: PlanJson): PlanRequestJson {
  return { path: plan.steps.map(({ left, right }) => [left, right]), sliced: plan.sliced };
}

/** The request with the files of all stored arrays and of its batch, each made once. */
export async function packedRequest({ document, plan, backend, batch = {} }: Pick<SentJob, "document" | "plan" | "backend" | "batch">): Promise<PackedRequest> {
  const stored = document.tensors.filter(({ id, array }) => array.kind === "blob" && !(id in batch)).map(({ id, name, array }) => ({ id, name, array: array as Blob }));
  const request = bareRequest(document, plan ?? null, backend);
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const many: Record<string, { sha256: string }> = {};
  for (const [id, { dtype, shape, bytes }] of Object.entries(batch)) {
    const file = writeNpy(dtype, shape, new Uint8Array(bytes));
    const sha256 = await sha256Of(file);
    files.set(sha256, file);
    many[id] = { sha256 };
  }
  if (Object.keys(many).length > 0) request.batch = { arrays: many };
  if (stored.length === 0) return { request, files };
  const bytes = await storedBytes([...new Set(stored.map(({ array }) => array.hash))]);
  const names = new Map<string, string>();
  const arrays: Record<string, { sha256: string }> = {};
  for (const { id, name, array } of stored) {
    let sha256 = names.get(array.hash);
    if (sha256 === undefined) {
      const data = bytes.get(array.hash);
      if (!data) throw new WorkerError(refused("worker-no-array", `The numbers of ${name} are not in this browser.`, "Open the file that they came from again."), null);
      const file = writeNpy(array.dtype as DType, array.shape, data);
      sha256 = await sha256Of(file);
      names.set(array.hash, sha256);
      files.set(sha256, file);
    }
    arrays[id] = { sha256 };
  }
  return { request: { ...request, arrays }, files };
}

/** The name of a file on the worker, in hexadecimal digits. */
export async function sha256Of(file: Uint8Array<ArrayBuffer>): Promise<string> {
  // Browsers offer this only to pages from https and from this machine.
  if (!globalThis.crypto?.subtle)
    throw new WorkerError(refused("worker-insecure-page", "This page cannot send arrays: it came over a connection that is not encrypted.", "Open it from https, or from this machine."), null);
  const digest = await crypto.subtle.digest("SHA-256", file);
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A key that no other job has, also where the page came over plain http. */
export function freshKey(): string {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
