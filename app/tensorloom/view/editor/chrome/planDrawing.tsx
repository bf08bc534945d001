/**
 * Contraction tree and memory strip in one SVG, with one slider line through both.
 */

import { memo, type MouseEvent, type PointerEvent, useEffect, useId, useMemo, useRef, useState } from "react";
import type { PlanJson } from "../protocol.ts";
import { useEditor } from "../store.ts";
import { bigCount, bytes } from "./numbers.ts";
import { carriers, memoryStrip, planBox, type PlanBox, showsMarks, stepAt, timeX, treePath, treeY } from "./planPaths.ts";
import { goToStep } from "./planSteps.ts";
import { SmallMark } from "./smallMark.tsx";
import { type TreeGeometry, treeGeometry } from "./treeGeometry.ts";
import { numbersWords } from "./valueText.ts";

const HEIGHT = 195;

interface PlanDrawingProps {
  plan: PlanJson;
  step: number;
  /** Nobody has moved the slider: it stands at the end and says nothing yet. */
  untouched: boolean;
}

export function PlanDrawing({ plan, step, untouched }: PlanDrawingProps) {
  const [width, setWidth] = useState(800);
  const holder = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = holder.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(([entry]) => setWidth(Math.max(240, Math.round(entry?.contentRect.width ?? 800))));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const box = useMemo(() => planBox(width, HEIGHT), [width]);
  const geometry = useMemo(() => treeGeometry(plan), [plan]);
  // Colons in an address would need escapes that not every engine reads the same way.
  const clip = useId().replaceAll(":", "");
  const x = timeX(box, geometry.nSteps, step);
  const drag = useSlider(plan, box);
  return (
    <div className="tl-plan-drawing" ref={holder}>
      <svg width={width} height={HEIGHT} viewBox={`0 0 ${width} ${HEIGHT}`} role="presentation" {...drag}>
        <clipPath id={clip}>
          <rect x="0" y="0" width={x} height={HEIGHT} />
        </clipPath>
        <Picture plan={plan} geometry={geometry} box={box} clip={clip} />
        <Slider plan={plan} box={box} step={step} x={x} untouched={untouched} />
      </svg>
    </div>
  );
}

/** Press or drag anywhere: the line follows the pointer. */
function useSlider(plan: PlanJson, box: PlanBox) {
  const held = useRef(false);
  const follow = (event: PointerEvent<SVGSVGElement>) => {
    const left = event.currentTarget.getBoundingClientRect().left;
    goToStep(plan, stepAt(box, plan.steps.length, event.clientX - left));
  };
  return {
    // The press itself would take the focus away again.
    onMouseDown: (event: MouseEvent) => event.preventDefault(),
    onPointerDown: (event: PointerEvent<SVGSVGElement>) => {
      held.current = true;
      event.currentTarget.setPointerCapture(event.pointerId);
      // The arrow keys go on from where the pointer let go.
      event.currentTarget.querySelector<SVGGElement>(".tl-slider")?.focus({ preventScroll: true });
      follow(event);
    },
    onPointerMove: (event: PointerEvent<SVGSVGElement>) => {
      if (held.current) follow(event);
    },
    onPointerUp: () => {
      held.current = false;
    },
    onPointerCancel: () => {
      held.current = false;
    },
  };
}

interface PictureProps {
  plan: PlanJson;
  geometry: TreeGeometry;
  box: PlanBox;
  clip: string;
}

/** Everything that does not move with the slider; only the clip does. */
const Picture = memo(function Picture({ plan, geometry, box, clip }: PictureProps) {
  const tree = useMemo(() => treePath(geometry, box), [geometry, box]);
  const memory = useMemo(() => memoryStrip(plan, box), [plan, box]);
  const inside = `url(#${clip})`;
  const peakAnchor = memory.peakX > box.width - 150 ? "end" : "start";
  return (
    <g className={geometry.nSteps > 120 ? "tl-tree is-dense" : "tl-tree"}>
      <SelectedIndex plan={plan} geometry={geometry} box={box} />
      <path className="is-pending" d={tree} />
      <path className="is-done" d={tree} clipPath={inside} />
      <Leaves plan={plan} geometry={geometry} box={box} />
      <path className="tl-memory is-pending" d={memory.area} />
      <path className="tl-memory is-done" d={memory.area} clipPath={inside} />
      <path className="tl-memory-line" d={memory.line} />
      <text x={memory.peakX + (peakAnchor === "end" ? -2 : 2)} y={memory.peakY - 7} textAnchor={peakAnchor}>
        peak {bytes(plan.peakBytes)}
      </text>
    </g>
  );
});

/** The life of the selected indices: every tensor that carries one, until it is summed. */
function SelectedIndex({ plan, geometry, box }: Omit<PictureProps, "clip">) {
  const names = useEditor((state) => state.selection.indices);
  const tensors = useEditor((state) => state.document.tensors);
  const path = useMemo(() => {
    if (names.size === 0) return "";
    const carrying = carriers(plan, tensors, names);
    return treePath(geometry, box, (number) => carrying.has(number));
  }, [names, tensors, plan, geometry, box]);
  return path ? <path className="tl-life" d={path} /> : null;
}

function Leaves({ plan, geometry, box }: Omit<PictureProps, "clip">) {
  const marks = useEditor((state) => state.document.marks);
  const selected = useEditor((state) => state.selection.tensors);
  const withMarks = showsMarks(geometry, box);
  const ticks = useMemo(() => {
    if (withMarks) return "";
    return plan.inputs.map((_, leaf) => `M${timeX(box, geometry.nSteps, geometry.points[leaf]?.x ?? 0).toFixed(1)},${box.ground}v4`).join("");
  }, [withMarks, plan, geometry, box]);
  if (!withMarks) return <path className="tl-ticks" d={ticks} />;
  return (
    <>
      {plan.inputs.map((id, leaf) => (
        <SmallMark
          key={id}
          shape={marks[id]?.shape ?? "circle"}
          colour={marks[id]?.colour ?? "blue"}
          isSelected={selected.has(id)}
          x={timeX(box, geometry.nSteps, geometry.points[leaf]?.x ?? 0)}
          y={treeY(box, 0)}
        />
      ))}
    </>
  );
}

function Slider({ plan, box, step, x, untouched }: PlanDrawingProps & { box: PlanBox; x: number }) {
  const nSteps = plan.steps.length;
  const now = plan.steps[step - 1];
  const words = now ? `${numbersWords(now.elements)}, ${bigCount(now.mulAdds)} multiply-adds` : "before the first step";
  const keys: Record<string, number> = { ArrowLeft: step - 1, ArrowDown: step - 1, ArrowRight: step + 1, ArrowUp: step + 1, PageDown: step - 10, PageUp: step + 10, Home: 0, End: nSteps };
  const flip = x > box.width / 2;
  return (
    <g
      className="tl-slider"
      role="slider"
      tabIndex={0}
      aria-label="Step of the contraction"
      aria-valuemin={0}
      aria-valuemax={nSteps}
      aria-valuenow={step}
      aria-valuetext={`Step ${step} of ${nSteps}: ${words}`}
      transform={`translate(${x} 0)`}
      onKeyDown={(event) => {
        const next = keys[event.key];
        if (next === undefined) return;
        event.preventDefault();
        event.stopPropagation();
        goToStep(plan, next);
      }}
    >
      <rect x="-14" y="0" width="28" height={HEIGHT} fill="transparent" />
      <path d={`M0,14V${HEIGHT - 7}`} />
      <circle cy="13" r="5" />
      {!untouched && (
        <text x={flip ? -12 : 12} y="17" textAnchor={flip ? "end" : "start"}>
          {words}
        </text>
      )}
    </g>
  );
}
