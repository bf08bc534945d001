/**
 * Keeps the site for offline use; one cache for each build, named by its hash.
 *
 * Apart from the page itself every address holds a hash or a version, so a file never changes under
 * its address and a page cannot get files of two builds: an old page finds its own files in its own
 * cache, which is kept until no old page is left. The build puts the two facts below before this.
 */

interface BuildFacts {
  TENSORLOOM_BUILD: string;
  /** Addresses relative to the page, "./" first. */
  TENSORLOOM_FILES: string[];
}

const scope = globalThis as unknown as ServiceWorkerGlobalScope & BuildFacts;
const PREFIX = "tensorloom-";
const CACHE = `${PREFIX}${scope.TENSORLOOM_BUILD}`;
const HOME = new URL("./", scope.location.href);

/** Archives of the way of starting that this browser does not use; the page says which it does. */
const UNUSED: Record<string, RegExp> = {
  snapshot: /\/site\.bin\.gz$/,
  pyc: /\/(snapshot|libraries|files)\.bin\.gz$/,
};

async function install(): Promise<void> {
  const unused = UNUSED[new URL(scope.location.href).searchParams.get("start") ?? ""];
  const wanted = scope.TENSORLOOM_FILES.filter((name) => !unused?.test(name)).map((name) => new URL(name, HOME).href);
  const cache = await caches.open(CACHE);
  await Promise.all(wanted.map((address) => keep(cache, address)));
  await scope.skipWaiting();
}

/** Puts a file into the cache, from an older build's cache where that has it. */
async function keep(cache: Cache, address: string): Promise<void> {
  const isPage = address === HOME.href;
  const old = isPage ? undefined : await caches.match(address);
  const response = old ?? (await fetch(address, { cache: isPage ? "reload" : "default" }));
  if (!response.ok) throw new Error(`${address}: ${response.status}`);
  await cache.put(address, response);
}

/** Removes the caches of other builds once no page is left that may need them. */
async function tidy(loaded: string): Promise<void> {
  // A newer worker that is being installed fills its own cache just now.
  if (scope.registration.installing ?? scope.registration.waiting) return;
  const pages = await scope.clients.matchAll({ type: "window", includeUncontrolled: true });
  if (pages.some((page) => page.id !== loaded)) return;
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)));
}

/** Where the choice below is kept; its name is that of no build's cache, so it outlives them. */
const SETTINGS = "tensorloom.settings";
const ISOLATION = new URL("isolation", HOME).href;

/**
 * Whether the page wants to be isolated from other sites, which is what browsers ask of pages whose
 * threads share memory. Off unless the user chose it; headers are added on the way out only.
 */
let isolation: Promise<boolean> | null = null;

async function setIsolation(on: boolean): Promise<void> {
  if (on) await (await caches.open(SETTINGS)).put(ISOLATION, new Response("on"));
  else await caches.delete(SETTINGS);
  isolation = Promise.resolve(on);
}

async function isolated(response: Response): Promise<Response> {
  isolation ??= caches.match(ISOLATION, { cacheName: SETTINGS }).then((kept) => kept !== undefined);
  if (!(await isolation) || response.type === "opaque" || response.type === "error") return response;
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  headers.set("Cross-Origin-Resource-Policy", "same-origin");
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}

async function page(request: Request): Promise<Response> {
  const kept = await (await caches.open(CACHE)).match(HOME.href);
  return kept ?? fetch(request);
}

async function file(request: Request): Promise<Response> {
  const kept = await caches.match(request, { ignoreVary: true });
  if (kept) return kept;
  const response = await fetch(request);
  // Fetched when first needed, such as scipy: from then on offline too.
  if (response.ok) await (await caches.open(CACHE)).put(request, response.clone());
  return response;
}

function isHome(address: URL): boolean {
  return address.pathname === HOME.pathname || address.pathname === `${HOME.pathname}index.html`;
}

scope.addEventListener("install", (event) => event.waitUntil(install()));

scope.addEventListener("activate", (event) => event.waitUntil(scope.clients.claim()));

/** A page says that it has loaded all it needs, or whether it wants to be isolated from now on. */
scope.addEventListener("message", (event) => {
  const asked = event.data as { isolate?: boolean } | "loaded";
  if (typeof asked === "object" && typeof asked.isolate === "boolean") event.waitUntil(setIsolation(asked.isolate).then(() => event.ports[0]?.postMessage("done")));
  else event.waitUntil(tidy((event.source as Client | null)?.id ?? ""));
});

scope.addEventListener("fetch", (event) => {
  const address = new URL(event.request.url);
  // Below v1/ a heavy worker answers that serves this site itself: nothing there is a file to keep.
  if (address.pathname.startsWith(`${HOME.pathname}v1/`)) return;
  if (event.request.method !== "GET" || address.origin !== HOME.origin || !address.pathname.startsWith(HOME.pathname)) return;
  if (event.request.mode === "navigate") {
    if (!isHome(address)) return;
    event.respondWith(page(event.request).then(isolated));
  } else if (!address.search) event.respondWith(file(event.request).then(isolated));
});
