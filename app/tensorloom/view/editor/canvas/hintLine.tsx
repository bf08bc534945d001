/** The hint at the bottom left of the canvas, and the two keys that open everything else. */

import { useEffect, useMemo, useState } from "react";
import { perform } from "../actions.ts";
import { useEditor } from "../store.ts";
import { hintFor, keepLearnt, learntBefore } from "./hints.ts";
import type { Scene } from "./scene.ts";

interface HintLineProps {
  scene: Scene;
  pulling: boolean;
  /** The codes for connecting by keyboard are shown. */
  lettered: boolean;
}

export function HintLine({ scene, pulling, lettered }: HintLineProps) {
  const [learnt, setLearnt] = useState<ReadonlySet<string>>(learntBefore);
  const gesture = useEditor((state) => state.lastGesture);
  const indexHeld = useEditor(({ selection }) => selection.indices.size === 1 && selection.tensors.size === 0);
  const selectedTensors = useEditor((state) => state.selection.tensors.size);
  const made = gesture ?? (selectedTensors > 1 ? "Select" : null);
  useEffect(() => {
    if (made === null || learnt.has(made)) return;
    const more = new Set(learnt).add(made);
    setLearnt(more);
    keepLearnt(more);
  }, [made, learnt]);
  const text = useMemo(() => hintFor({ scene, gesture, indexHeld, pulling, lettered }, learnt), [scene, gesture, indexHeld, pulling, lettered, learnt]);
  return (
    <p className="tl-hint">
      {text && <span>{text}</span>}
      {!pulling && !lettered && !indexHeld && (
        <span className="tl-hint-keys">
          <button type="button" onClick={() => perform("commands")}>
            <kbd>Space</kbd> commands
          </button>
          <button type="button" onClick={() => perform("gestures")}>
            <kbd>?</kbd> all gestures
          </button>
        </span>
      )}
    </p>
  );
}
