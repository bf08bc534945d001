/**
 * The diagram: React Flow moves the paper and the tensors, our layers draw bonds and labels, our
 * gestures pull legs. Everything that the user sees comes from the store's document.
 */

import { Background, BackgroundVariant, ReactFlow, ReactFlowProvider, SelectionMode, useOnViewportChange, useReactFlow, useStore, ViewportPortal } from "@xyflow/react";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { ARIA, perform } from "../actions.ts";
import { listenToKeys } from "../keyboard.ts";
import type { DocumentJson } from "../protocol.ts";
import { store, useEditor } from "../store.ts";
import { aboutDrawing, aboutIndex, aboutTensor } from "./announce.ts";
import { BondLayer } from "./bondLayer.tsx";
import { BondPopover } from "./bondPopover.tsx";
import { pointAt } from "./curves.ts";
import { DraftLine } from "./draftLine.tsx";
import type { Source } from "./drops.ts";
import { LEAST_ZOOM, MOST_ZOOM, sceneBox, toDiagram, wellSeen } from "./fit.ts";
import type { Hit } from "./hit.ts";
import { HintLine } from "./hintLine.tsx";
import { LabelLayer } from "./labelLayer.tsx";
import { mainStrand } from "./labels.ts";
import { LetterOverlay } from "./letterOverlay.tsx";
import { type Target, targetsOf } from "./letters.ts";
import { useMotion } from "./motion.ts";
import type { Box } from "./points.ts";
import { PullLayer } from "./pullLayer.tsx";
import { RenameField } from "./renameField.tsx";
import { BIG, CROWD, drawScene, type Scene } from "./scene.ts";
import { TensorNode } from "./tensorNode.tsx";
import { useActions } from "./useActions.ts";
import { useGestures } from "./useGestures.ts";
import { useNodes } from "./useNodes.ts";
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
      <HintLine scene={scene} pulling={gestures.pull?.source.kind === "tensor"} />
      <ZoomBar />
      <LiveRegion scene={scene} />
    </div>
  );
}

/** The part of the diagram in view; for big drawings kept as state, so that labels follow it. */
function useView(followed: boolean): { box: Box | null; now: () => Box } {
  const flow = useReactFlow();
  const width = useStore((state) => state.width);
  const height = useStore((state) => state.height);
  const [box, setBox] = useState<Box | null>(null);
  const now = useCallback((): Box => {
    const view = flow.getViewport();
    const [start, end] = [toDiagram({ x: 0, y: 0 }, view), toDiagram({ x: width, y: height }, view)];
    return { left: start.x, top: start.y, right: end.x, bottom: end.y };
  }, [flow, width, height]);
  const follow = useCallback(() => setBox(followed ? now() : null), [followed, now]);
  useOnViewportChange({ onEnd: follow });
  useEffect(follow, [follow]);
  return useMemo(() => ({ box: followed ? box : null, now }), [followed, box, now]);
}

interface Freshness {
  /** Another document than the one before is shown and the view does not fit it yet. */
  now: boolean;
  before: DocumentJson | null;
  seen: () => void;
}

/** A document none of whose marks was there before is another one: a file, a template, a link. */
function useFreshness(document: DocumentJson): Freshness {
  const [before, setBefore] = useState<DocumentJson | null>(null);
  const now = before === null || (before !== document && document.tensors.every(({ id }) => before.marks[id] !== document.marks[id]));
  return { now, before, seen: () => setBefore(document) };
}

/** Fits when the canvas has its first sizes, before the user has touched anything, and for another document. */
function useFitting(scene: Scene, canvas: React.RefObject<HTMLElement | null>, fit: (glide: boolean) => void, fresh: Freshness): void {
  const flow = useReactFlow();
  const document = useEditor((state) => state.document);
  const touched = useRef(false);
  const fitting = useRef(fit);
  fitting.current = fit;
  useOnViewportChange({ onStart: () => { touched.current = true; } });
  useEffect(() => {
    const box = canvas.current;
    if (!box) return undefined;
    const watch = new ResizeObserver(() => {
      if (touched.current || store.get().canUndo) return;
      fitting.current(false);
      touched.current = false;
    });
    watch.observe(box);
    return () => watch.disconnect();
  }, [canvas]);
  useEffect(() => {
    fresh.seen();
    const box = canvas.current;
    if (!fresh.now || !box || document.tensors.length === 0) return;
    const small = fresh.before !== null && document.tensors.length === 1;
    if (!small && !wellSeen(sceneBox(scene), flow.getViewport(), box.clientWidth, box.clientHeight)) fitting.current(scene.tensors.length <= CROWD && fresh.before !== null);
    // Only the document decides; the scene glides and the view is the user's.
  }, [document]);
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

function LiveRegion({ scene }: { scene: Scene }) {
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
