/** The live region: what was done last and what is held now, as a screen reader hears it. */

import { ARIA } from "../actions.ts";
import { useEditor } from "../store.ts";
import { aboutDrawing, aboutIndex, aboutTensor } from "./announce.ts";
import type { Scene } from "./scene.ts";

export function LiveRegion({ scene }: { scene: Scene }) {
  const gesture = useEditor((state) => state.lastGesture);
  const document = useEditor((state) => state.document);
  const selection = useEditor((state) => state.selection);
  const [id] = selection.tensors;
  const [name] = selection.indices;
  const index = name === undefined ? undefined : scene.byName.get(name);
  let about = aboutDrawing(document);
  if (selection.tensors.size > 1) about = `${selection.tensors.size} tensors selected.`;
  else if (id !== undefined) about = aboutTensor(document, id);
  else if (index) about = aboutIndex(scene, index);
  return (
    <p className="tl-hidden-text" role="status" aria-label={ARIA.live}>
      {gesture ? `${gesture}. ` : ""}
      {about}
    </p>
  );
}
