/**
 * What the page shows first: a link's drawing, else the draft, else the example it came with.
 *
 * A link never overwrites a draft: what it brings is saved under a key of its own, and only once it
 * was changed; the former drawing waits, one click away.
 */

import { type Draft, IndexedDrafts } from "./drafts.ts";
import { openWorkerLink } from "./chrome/remoteDoor.tsx";
import { checkedDocument, decodeLink } from "./model/link.ts";
import type { DocumentJson, ErrorJson, Notice } from "./protocol.ts";
import { type EditorStore, NOT_KEPT } from "./store.ts";

interface Given {
  /** JSON of the document that the page was made with, and what Python said about it. */
  opening: string;
  notices: string;
}

let drafts: IndexedDrafts | null = null;
let waiting: DocumentJson | null = null;

/** Opens the first document. Later calls (the component is mounted again) change nothing. */
export function start(store: EditorStore, given: Given): Promise<void> {
  const holder = globalThis as { tensorloomStart?: Promise<void> };
  holder.tensorloomStart ??= firstDocument(store, given);
  return holder.tensorloomStart;
}

async function firstDocument(store: EditorStore, given: Given): Promise<void> {
  drafts = await IndexedDrafts.open();
  if (drafts) store.useDrafts(drafts);
  const kept = await latestDraft();
  globalThis.addEventListener("hashchange", () => openWorkerLink() || void openLink(store, store.get().document));
  openWorkerLink();
  forgetUsedLink(store);
  if (await openLink(store, kept)) return;
  if (kept) {
    store.open(kept);
    return;
  }
  openExample(store, given);
}

async function latestDraft(): Promise<DocumentJson | null> {
  try {
    return (await drafts?.latest()) ?? null;
  } catch {
    return null;
  }
}

/** The drawing in the address, if there is one; a broken link says so and leaves everything alone. */
async function openLink(store: EditorStore, own: DocumentJson | null): Promise<boolean> {
  const link = globalThis.location.hash.slice(1);
  if (link === "") return false;
  try {
    const document = await decodeLink(link);
    const theirs = own !== null && JSON.stringify(own.tensors) !== JSON.stringify(document.tensors) && own.tensors.length > 0;
    waiting = theirs ? own : null;
    drafts?.startNew();
    store.open(document, { draftWaiting: theirs, lastGesture: null });
    return true;
  } catch (error) {
    store.complain(brokenLink(error instanceof Error ? error.message : String(error)));
    return false;
  }
}

function brokenLink(reason: string): ErrorJson {
  const said = /link|document|tensor|index/i.test(reason) ? reason : "Part of it is missing or changed.";
  return { kind: "DocumentError", code: "bad-link", message: `This link cannot be read: ${said}`, hint: "Ask for it again, or for the drawing as a file.", where: {}, values: {} };
}

function openExample(store: EditorStore, { opening, notices }: Given): void {
  try {
    store.open(checkedDocument(JSON.parse(opening)));
    for (const notice of JSON.parse(notices) as Notice[]) store.receive(notice);
  } catch (error) {
    // The component's own parameters are ours; an empty paper is better than none.
    console.warn("The example could not be shown.", error);
  }
}

/** Once what a link brought is changed, the address must not bring the old drawing back. */
function forgetUsedLink(store: EditorStore): void {
  store.subscribe(() => {
    if (!store.get().canUndo || globalThis.location.hash === "") return;
    globalThis.history.replaceState(null, "", globalThis.location.pathname + globalThis.location.search);
  });
}

/** Back to the user's own drawing, which a link had put aside. */
export function goBack(store: EditorStore): void {
  if (waiting) leaveLink(store, waiting);
}

/** Drawings of other tabs and of earlier visits, newest first; none where the browser keeps none. */
export async function earlierDrawings(store: EditorStore): Promise<Draft[]> {
  try {
    return (await drafts?.others(store.get().document)) ?? [];
  } catch {
    return [];
  }
}

/**
 * Goes on with a copy of such a drawing, as another tab may have it open. What is shown may never
 * have been kept, as it came by a link: it is first, or else stays.
 */
export async function openEarlier(store: EditorStore, { document }: Draft): Promise<void> {
  if (!(await store.keep())) {
    store.complain(NOT_KEPT);
    return;
  }
  drafts?.startNew();
  leaveLink(store, document);
  // So that a reload finds it.
  await store.keep();
}

function leaveLink(store: EditorStore, document: DocumentJson): void {
  waiting = null;
  globalThis.history.replaceState(null, "", globalThis.location.pathname + globalThis.location.search);
  store.open(document, { draftWaiting: false });
}
