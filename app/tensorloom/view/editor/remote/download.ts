/**
 * The file of a result on its way here: what has come stays when the line is lost, and only the rest
 * is asked for when the worker is back.
 */

import { refused } from "./address.ts";
import { pauseMs } from "./connection.ts";
import type { Line } from "./follower.ts";
import { WorkerError } from "./http.ts";
import { pause } from "./pause.ts";
import { sha256Of } from "./requests.ts";
import type { JobJson, JobResultJson } from "./wire.ts";

/** A worker that answers but never sends a byte more is given up after so many tries. */
const MOST_TRIES = 6;

/**
 * The whole file, with the hash that the worker named.
 *
 * @param lineOf resolves when the worker answers; rejects where it will not
 * @param isWanted asked after each loss; without it, until the file is here
 * @param said told how many bytes have come
 */
export async function download(
  { id }: JobJson,
  { bytes, sha256 }: JobResultJson,
  lineOf: () => Promise<Line>,
  { isWanted = () => true, said = () => undefined, wait = (tries, lost) => pause(pauseMs(tries, Math.random()), lost) }: { isWanted?: () => boolean; said?: (done: number) => void; wait?: (tries: number, lost: AbortSignal) => Promise<void> } = {},
): Promise<ArrayBuffer | null> {
  const file = new Uint8Array(Number(bytes));
  let have = 0;
  for (let tries = 0; have < file.byteLength; ) {
    const { client, lost } = await lineOf();
    if (!isWanted()) return null;
    const before = have;
    try {
      for await (const part of client.result(id, have, file.byteLength, lost)) {
        if (have + part.byteLength > file.byteLength) throw damaged();
        file.set(part, have);
        have += part.byteLength;
        said(have);
      }
    } catch (error) {
      if (!(error instanceof WorkerError) || !error.isPassing) throw error;
      tries = have > before ? 1 : tries + 1;
      if (tries >= MOST_TRIES && !lost.aborted) throw error;
      await wait(tries, lost);
    }
  }
  // Browsers hash for pages from https and from this machine alone.
  if (globalThis.crypto?.subtle && (await sha256Of(file)) !== sha256) throw damaged();
  return file.buffer;
}

function damaged(): WorkerError {
  return new WorkerError(refused("worker-damaged-result", "The value that came is not the one that the worker computed.", "Ask for it again: open the job from the list."), null);
}
