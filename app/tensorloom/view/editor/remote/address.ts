/**
 * Addresses of workers: how they are written, in a link and by hand, and what browsers allow. Pure.
 */

import type { ErrorJson } from "../protocol.ts";

export interface Worker {
  /** Origin and path without a final slash, such as `http://127.0.0.1:8765`. */
  address: string;
  token: string;
}

export const USUAL_ADDRESS = "http://127.0.0.1:8765";

export function refused(code: string, message: string, hint: string): ErrorJson {
  return { kind: "WorkerUnreachable", code, message, hint, where: {}, values: {} };
}

/** The address in its one form; what is typed may lack the scheme or end in a slash. */
export function normalAddress(typed: string): string {
  const text = typed.trim();
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  let url: URL;
  try {
    url = new URL(full);
  } catch {
    throw refused("worker-address", `'${text.slice(0, 60)}' is not an address.`, `Write it like ${USUAL_ADDRESS}.`);
  }
  if (!["http:", "https:"].includes(url.protocol) || url.username || url.password || url.search || url.hash)
    throw refused("worker-address", `'${text.slice(0, 60)}' is not the address of a worker.`, `Write scheme, host and port, like ${USUAL_ADDRESS}.`);
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

/** The token in its one form. A browser sends no other characters in a header; that would look like a worker that is away. */
export function plainToken(typed: string): string {
  const text = typed.trim();
  if (text === "") throw refused("worker-no-token", "There is no token.", "The worker prints it when it starts for the first time; `token rotate` makes a new one.");
  // What it is stays untold: it may hold the token.
  if (!/^[\x21-\x7e]+$/.test(text)) throw refused("worker-token", "What was given as the token is none: it has blanks, several lines, or characters beyond ASCII, such as curly quotes.", "Give the token that the worker printed, and nothing else.");
  return text;
}

/** `127.0.0.1:8765`: what the user knows it by. */
export function shortAddress(address: string): string {
  return address.replace(/^https?:\/\//, "");
}

/** Whether only programs on this machine can answer there. */
export function isLoopback(address: string): boolean {
  const { hostname } = new URL(address);
  return hostname === "localhost" || hostname.endsWith(".localhost") || /^127(\.\d+){3}$/.test(hostname) || hostname === "[::1]";
}

/** Whether an address is one of a network at home or at work, by its digits or by the ending of its name. */
export function isPrivate(address: string): boolean {
  const { hostname } = new URL(address);
  return /^(10|192\.168|169\.254|172\.(1[6-9]|2\d|3[01]))\.[\d.]+$/.test(hostname) || /^\[(f[cd]|fe[89ab])/.test(hostname) || hostname.endsWith(".local");
}

/** What a fragment `#worker=…&token=…` says; null where it is something else. */
export function workerOfLink(fragment: string): Worker | null {
  const text = fragment.replace(/^#/, "");
  if (!text.startsWith("worker=")) return null;
  const fields = new URLSearchParams(text);
  return { address: normalAddress(fields.get("worker") ?? ""), token: fields.get("token") ?? "" };
}

/**
 * Whether a link may connect by itself. Whoever makes a link chooses where drawings would be sent:
 * that may be this machine or the place that the page came from, anything else is asked first.
 */
export function isTrustedByLink(address: string, pageOrigin: string, connected: string | null): boolean {
  if (connected !== null && connected !== address) return false;
  return new URL(address).origin === pageOrigin || isLoopback(address);
}

/** What the page's policy and the browser's rules for mixed content say against an address; null = nothing. */
export function whyOutOfReach(address: string, page: { origin: string; connectSources: readonly string[] }): ErrorJson | null {
  const url = new URL(address);
  if (!page.connectSources.some((source) => allows(source, url, page.origin)))
    return refused(
      "worker-not-allowed",
      `This page may reach workers on this machine and the place that it came from, but not ${url.host}.`,
      `Open the page that the worker itself serves, ${address}/, or build the site with --connect ${url.origin}.`,
    );
  if (page.origin.startsWith("https:") && url.protocol === "http:" && !isLoopback(address))
    return refused("worker-mixed-content", `A page from https cannot reach ${address}, which is not encrypted.`, `Give the worker a certificate (--tls-cert), or open the page that it serves, ${address}/.`);
  return null;
}

/** Whether a source of `connect-src` allows an address; only the forms that this site's policy uses. */
function allows(source: string, url: URL, pageOrigin: string): boolean {
  if (source === "'self'") return url.origin === pageOrigin;
  if (source === `${url.protocol}`) return true;
  const found = /^(https?:)\/\/([^/:]+)(?::(\d+|\*))?$/.exec(source);
  if (!found) return false;
  const [, scheme, host, port] = found;
  const usual = url.protocol === "https:" ? "443" : "80";
  const isPort = port === "*" || (port ?? (scheme === "https:" ? "443" : "80")) === (url.port || usual);
  // http in a policy also allows https.
  return (scheme === url.protocol || (scheme === "http:" && url.protocol === "https:")) && host === url.hostname && isPort;
}

/** The sources of `connect-src` in a policy. */
export function connectSources(policy: string): string[] {
  const directive = policy.split(";").map((part) => part.trim().split(/\s+/)).find(([name]) => name === "connect-src");
  return directive?.slice(1) ?? ["http:", "https:", "'self'"];
}
