/** What is typed of a worker, held against what this page may reach; what is said where there is none. */

import type { ErrorJson } from "../protocol.ts";
import { connectSources, normalAddress, plainToken, refused, whyOutOfReach, type Worker } from "./address.ts";

/** The worker; an address that browsers would not let the page reach is refused with the way out. */
export function reachable(typed: string, token: string): Worker {
  const address = normalAddress(typed);
  const policy = document.querySelector<HTMLMetaElement>('meta[http-equiv="Content-Security-Policy"]')?.content ?? "";
  const why = whyOutOfReach(address, { origin: location.origin, connectSources: connectSources(policy) });
  if (why) throw why;
  return { address, token: plainToken(token) };
}

export function notConnected(): ErrorJson {
  return refused("worker-not-connected", "No worker is connected.", "Connect one: click the device line, then Connect a worker.");
}
