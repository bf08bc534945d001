/**
 * The diagram: React Flow moves the paper and the tensors, our layers draw bonds and labels, our
 * gestures pull legs. Everything that the user sees comes from the store's document.
 */

import { Background, BackgroundVariant, ReactFlow, ReactFlowProvider, SelectionMode, useStore, ViewportPortal } from "@xyflow/react";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { ARIA, perform } from "../actions.ts";
import { listenToKeys } from "../keyboard.ts";
import { store, useEditor } from "../store.ts";
import { BondLayer } from "./bondLayer.tsx";
import { BondPopover } from "./bondPopover.tsx";
import { pointAt } from "./curves.ts";
import { DraftLine } from "./draftLine.tsx";
import type { Source } from "./drops.ts";
import { LEAST_ZOOM, MOST_ZOOM } from "./fit.ts";
import type { Hit } from "./hit.ts";
import { HintLine } from "./hintLine.tsx";
import { LabelLayer } from "./labelLayer.tsx";
import { mainStrand } from "./labels.ts";
import { LetterOverlay } from "./letterOverlay.tsx";
import { type Target, targetsOf } from "./letters.ts";
import { LiveRegion } from "./liveRegion.tsx";
import { useMotion } from "./motion.ts";
import { PullLayer } from "./pullLayer.tsx";
import { RenameField } from "./renameField.tsx";
import { BIG, CROWD, drawScene, type Scene } from "./scene.ts";
import { TensorNode } from "./tensorNode.tsx";
import { useActions } from "./useActions.ts";
import { useGestures } from "./useGestures.ts";
import { useNodes } from "./useNodes.ts";
import { useFitting, useFreshness, useView } from "./useViewport.ts";
import { ZoomBar } from "./zoomBar.tsx";

const NODE_TYPES = { tensor: TensorNode };
const MULTI_KEYS = ["Shift", "Meta", "Control"];
/** Panning by the middle and the right button; the left one selects. Touch pans with one finger. */
const PAN_BUTTONS = [1, 2];
/** Below this zoom a big drawing is one picture without labels. */
const FAR = 0.5;

export function Canvas() {
  return (
    <ReactFlowProvider>
      <Diagram />
    </ReactFlowProvider>
  );
}

function Diagram() {
  const canvas = useRef<HTMLDivElement>(null);
  const document = useEditor((state) => state.document);
  const armed = useEditor((state) => state.tool !== null);
  const holding = useEditor(({ selection }) => selection.tensors.size + selection.indices.size > 0);
  const held = useEditor((state) => state.held);
  const shown = useMotion(document, held);
  const scene = useMemo(() => drawScene(shown), [shown]);
  const big = scene.tensors.length > BIG;
  const far = useStore((state) => state.transform[2] < FAR);
  const fresh = useFreshness(document);
  const overview = scene.tensors.length > CROWD && (far || fresh.now);
  const [renaming, setRenaming] = useState<string | null>(null);
  const [letters, setLetters] = useState<{ source: Source; targets: Target[] } | null>(null);

  const rename = useCallback((hit: Hit) => {
    if (hit.kind === "tensor") {
      store.select({ tensors: [hit.id] });
      setRenaming(hit.id);
      return;
    }
    store.select({ indices: [hit.index] });
    // The popover is there after the next paint; a bond opens on its size, an end on its name.
    requestAnimationFrame(() => {
      if (hit.kind === "bond") perform("set-dimension");
      else canvas.current?.querySelector<HTMLElement>(".tl-popover-name")?.focus();
    });
  }, []);

  const gestures = useGestures(scene, canvas, rename);
  const nodes = useNodes(scene, overview);
  const moving = nodes.dragging || gestures.pull !== null;
  const view = useView(big);

  const connect = useCallback((): boolean => {
    const from = sourceOfSelection(scene);
    const box = canvas.current;
    if (!from || !box) return false;
    setLetters({ source: from.source, targets: targetsOf(scene, from.source, from.at, view.now()) });
    return true;
  }, [scene, view]);

  const { fit } = useActions(scene, {
    canvas,
    pointer: gestures.pointer,
    place: gestures.place,
    cancel: () => gestures.cancel() || nodes.cancelDrag(),
    rename,
    connect,
  });
  useFitting(scene, canvas, fit, fresh);
  useEffect(() => listenToKeys(() => canvas.current), []);

  const renamed = renaming === null ? undefined : scene.byId.get(renaming);
  return (
    <div
      ref={canvas}
      className={`tl-canvas${armed ? " is-armed" : ""}${gestures.pull ? " is-pulling" : ""}`}
      role="application"
      aria-label={ARIA.canvas}
      tabIndex={0}
      data-held={holding ? "" : undefined}
      onKeyDown={(event) => delete event.currentTarget.dataset.pointer}
      {...gestures.handlers}
    >
      <ReactFlow
        nodes={nodes.nodes}
        onNodesChange={nodes.onNodesChange}
        nodeTypes={NODE_TYPES}
        nodeOrigin={[0.5, 0.5]}
        onPaneClick={gestures.onPaneClick}
        onlyRenderVisibleElements={big}
        minZoom={LEAST_ZOOM}
        maxZoom={MOST_ZOOM}
        panOnDrag={PAN_BUTTONS}
        panOnScroll
        zoomOnDoubleClick={false}
        selectionOnDrag={!armed}
        selectionMode={SelectionMode.Partial}
        selectionKeyCode={null}
        multiSelectionKeyCode={MULTI_KEYS}
        panActivationKeyCode={null}
        deleteKeyCode={null}
        disableKeyboardA11y
        nodesFocusable={false}
        nodesConnectable={false}
        nodeDragThreshold={3}
        paneClickDistance={3}
        elevateNodesOnSelect={false}
        proOptions={{ hideAttribution: true }}
      >
        <Background variant={BackgroundVariant.Dots} gap={28} size={2} color="var(--tl-dots)" />
        <ViewportPortal>
          <BondLayer scene={scene} overview={overview} pulled={gestures.pull?.source.kind === "leg" ? gestures.pull.source.index : null} />
          {!overview && <LabelLayer scene={scene} view={view.box} />}
          <PullLayer scene={scene} pull={gestures.pull} snap={nodes.snapped} />
        </ViewportPortal>
      </ReactFlow>
      {!moving && !letters && <BondPopover scene={scene} />}
      {renamed && <RenameField key={renamed.id} placed={renamed} onDone={() => { setRenaming(null); canvas.current?.focus({ preventScroll: true }); }} />}
      {letters && <LetterOverlay source={letters.source} targets={letters.targets} onDone={() => setLetters(null)} />}
      <DraftLine />
      <HintLine scene={scene} pulling={gestures.pull?.source.kind === "tensor"} lettered={letters !== null} />
      <ZoomBar />
      <LiveRegion scene={scene} />
    </div>
  );
}

function sourceOfSelection(scene: Scene): { source: Source; at: { x: number; y: number } } | null {
  const { tensors, indices } = store.get().selection;
  const [id] = tensors;
  const [name] = indices;
  const tensor = id === undefined ? undefined : scene.byId.get(id);
  if (tensors.size === 1 && indices.size === 0 && tensor) return { source: { kind: "tensor", id: tensor.id }, at: tensor };
  const index = name === undefined ? undefined : scene.byName.get(name);
  const line = index && mainStrand(index);
  if (tensors.size > 0 || indices.size !== 1 || !index || !line || (index.kind !== "open" && index.kind !== "summed")) return null;
  return { source: { kind: "leg", index: index.name, open: index.kind === "open" }, at: pointAt(line, 1) };
}
