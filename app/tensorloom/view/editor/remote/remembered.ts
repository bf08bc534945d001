/**
 * Whether this browser is connected to a worker: all that start-up has to know, before any of the
 * code that speaks with it is loaded.
 */

export const CONNECTION_KEY = "tensorloom-worker";

export function isRemembered(): boolean {
  try {
    return localStorage.getItem(CONNECTION_KEY) !== null;
  } catch {
    return false;
  }
}
