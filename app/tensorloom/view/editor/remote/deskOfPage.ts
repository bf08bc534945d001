/** The page's one desk, for the parts that are drawn. */

import type { RemoteDesk } from "./desk.ts";

export function desk(): RemoteDesk {
  const found = (globalThis as { tensorloomDesk?: RemoteDesk }).tensorloomDesk;
  if (!found) throw new Error("The code for workers is not loaded.");
  return found;
}
