/**
 * Whether the browser lets this page reach programs on this machine or in its network.
 *
 * Chromium asks the user before a page from the internet may, and lets none that came unencrypted
 * (Local Network Access, since version 142). Requests then fail as if nobody were there.
 */

import { isLoopback, isPrivate } from "./address.ts";

/** "insecure": pages that came unencrypted may be kept from it, and cannot ask. */
export type Permission = "granted" | "prompt" | "denied" | "insecure";

/** Names that browsers have given it: one for both at first, then one each (seen in Chromium 156). */
const NAMES = { loopback: ["loopback-network", "local-network-access"], local: ["local-network", "local-network-access"] } as const;

/** How it stands for an address; "granted" where none is needed, and where the browser knows of none. */
export async function permissionFor(address: string): Promise<Permission> {
  const { origin } = globalThis.location ?? {};
  if (!origin || origin === new URL(address).origin || isLoopback(origin) || !(isLoopback(address) || isPrivate(address))) return "granted";
  for (const name of isLoopback(address) ? NAMES.loopback : NAMES.local) {
    try {
      const { state } = await navigator.permissions.query({ name: name as PermissionName });
      return state === "denied" && !globalThis.isSecureContext ? "insecure" : state;
    } catch {
      // Not a name that this browser knows.
    }
  }
  return "granted";
}
