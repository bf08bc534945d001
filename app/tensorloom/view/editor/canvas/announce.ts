/** What a screen reader hears about the diagram: one sentence per thing and per edit. Pure. */

import type { DocumentJson } from "../protocol.ts";
import { spokenName } from "./mathName.ts";
import { SHAPE_WORDS } from "./naming.ts";
import type { DrawnIndex, Scene } from "./scene.ts";

const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? "" : "s"}`;

export function aboutTensor(document: DocumentJson, id: string): string {
  const tensor = document.tensors.find((other) => other.id === id);
  const mark = document.marks[id];
  if (!tensor || !mark) return "";
  const legs = tensor.indices.map((name) => `${spokenName(name)} of dimension ${document.dimensions[name] ?? 1}`);
  const list = legs.length > 6 ? [...legs.slice(0, 6), `and ${legs.length - 6} more`] : legs;
  return `${capital(SHAPE_WORDS[mark.shape])} ${spokenName(tensor.name)}, ${plural(legs.length, "leg")}${legs.length > 0 ? `: ${list.join(", ")}` : ""}.`;
}

export function aboutIndex(scene: Scene, index: DrawnIndex): string {
  const names = index.tensors.map((id) => spokenName(scene.byId.get(id)?.name ?? id));
  const on = names.length > 4 ? `${names.slice(0, 4).join(", ")} and ${names.length - 4} more` : names.join(" and ");
  const what = {
    bond: `bond between ${on}`,
    loop: `loop on ${on}`,
    open: `open leg of ${on}`,
    summed: `leg of ${on}, summed`,
    hyper: `shared by ${on}${index.free ? ", open" : ""}`,
  }[index.kind];
  return `Index ${spokenName(index.name)}, dimension ${index.dimension}, ${what}.`;
}

/** The whole drawing in a sentence. */
export function aboutDrawing(document: DocumentJson): string {
  if (document.tensors.length === 0) return "The drawing is empty.";
  return `${plural(document.tensors.length, "tensor")}, ${plural(Object.keys(document.dimensions).length, "index").replace("indexs", "indices")}, ${plural(document.output.length, "open leg")}.`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
