/**
 * A link `#worker=…&token=…`: taken out of the address bar before anything else happens.
 *
 * What is in an address ends up in histories, in bookmarks and over shoulders; a token must not.
 */

import type { ErrorJson } from "../protocol.ts";
import { type Worker, workerOfLink } from "./address.ts";

const holder = globalThis as { tensorloomWorkerLink?: { worker: Worker } | { error: ErrorJson } };

/** Takes such a link out of the address bar and keeps it for `linkedWorker`; whether there was one. */
export function stripWorkerLink(): boolean {
  const { hash, pathname, search } = globalThis.location;
  if (!hash.startsWith("#worker=")) return false;
  globalThis.history.replaceState(null, "", pathname + search);
  try {
    const worker = workerOfLink(hash);
    if (worker) holder.tensorloomWorkerLink = { worker };
  } catch (error) {
    holder.tensorloomWorkerLink = { error: error as ErrorJson };
  }
  return true;
}

/** The worker that a link named, or why it names none; once. */
export function linkedWorker(): { worker: Worker } | { error: ErrorJson } | null {
  const found = holder.tensorloomWorkerLink ?? null;
  delete holder.tensorloomWorkerLink;
  return found;
}
