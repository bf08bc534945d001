/** All bonds, legs and dots in one SVG beneath the tensors. It draws; the pointer is handled elsewhere. */

import { useStore } from "@xyflow/react";
import { memo, useMemo } from "react";
import { useEditor } from "../store.ts";
import { svgPath } from "./curves.ts";
import { outlinePath } from "./outlines.ts";
import { BIG, type DrawnIndex, type Placed, type Scene } from "./scene.ts";

const DOT = 4.6;

/** From afar lines are drawn stronger, by powers of two, so that they stay about a pixel wide. */
const boostAt = (zoom: number): number => 2 ** Math.max(0, Math.ceil(Math.log2(0.36 / zoom)));

export const BondLayer = memo(function BondLayer({ scene, overview, pulled }: { scene: Scene; overview: boolean; pulled: string | null }) {
  const many = overview || scene.tensors.length > BIG;
  const boost = useStore((state) => boostAt(state.transform[2]));
  return (
    <svg className="tl-bonds" width="1" height="1" aria-hidden="true" style={overview ? { ["--tl-boost" as string]: boost } : undefined}>
      <Bands scene={scene} />
      {many ? <ManyBonds scene={scene} /> : scene.indices.map((index) => <Bond key={index.name} index={index} faint={index.name === pulled} />)}
      {many && <HeldBonds scene={scene} />}
      {overview && <ManyMarks tensors={scene.tensors} />}
    </svg>
  );
});

/** The translucent bands behind what is selected, hovered or wrong. */
function Bands({ scene }: { scene: Scene }) {
  const selected = useEditor((state) => state.selection.indices);
  const hovered = useEditor((state) => state.hover?.index ?? null);
  const blamed = useEditor((state) => state.blamed?.indices);
  const band = (name: string, state: string) =>
    scene.byName.get(name)?.strands.map(({ curve }, place) => <path key={`${state} ${name} ${place}`} className={`tl-band ${state}`} d={svgPath(curve)} />);
  return (
    <>
      {hovered !== null && !selected.has(hovered) && band(hovered, "is-hovered")}
      {[...selected].map((name) => band(name, "is-selected"))}
      {blamed?.map((name) => band(name, "is-wrong"))}
    </>
  );
}

const Bond = memo(function Bond({ index, faint }: { index: DrawnIndex; faint: boolean }) {
  const selected = useEditor((state) => state.selection.indices.has(index.name));
  const wrong = useEditor((state) => (state.blamed?.indices.includes(index.name) ?? false) || state.toasts.some(({ error }) => error.where.indices?.includes(index.name) ?? false));
  const state = `tl-bond is-${index.kind}${selected ? " is-selected" : ""}${wrong ? " is-wrong" : ""}${faint ? " is-faint" : ""}`;
  return (
    <g className={state} data-index={index.name} style={{ strokeWidth: index.width + (selected ? 1 : 0) }}>
      {index.strands.map(({ curve }, place) => (
        <path key={place} d={svgPath(curve)} />
      ))}
      {index.dot && <circle className="tl-bond-dot" cx={index.dot.x} cy={index.dot.y} r={Math.max(DOT, index.width / 2 + 2.4)} />}
    </g>
  );
});

/** One path for all bonds of about the same width: a few elements, however many bonds. */
const ManyBonds = memo(function ManyBonds({ scene }: { scene: Scene }) {
  const groups = useMemo(() => {
    const paths = new Map<number, string[]>();
    for (const index of scene.indices) {
      const width = Math.round(index.width * 2) / 2;
      const list = paths.get(width) ?? [];
      for (const { curve } of index.strands) list.push(svgPath(curve));
      paths.set(width, list);
    }
    return [...paths].map(([width, list]) => [width, list.join("")] as const);
  }, [scene]);
  const dots = useMemo(() => scene.indices.flatMap(({ dot }) => (dot ? [`M${dot.x - DOT},${dot.y}a${DOT},${DOT} 0 1,0 ${2 * DOT},0a${DOT},${DOT} 0 1,0 ${-2 * DOT},0z`] : [])).join(""), [scene]);
  return (
    <>
      {groups.map(([width, path]) => (
        <path key={width} className="tl-bond" style={{ strokeWidth: `calc(${width}px * var(--tl-boost, 1))` }} d={path} />
      ))}
      {dots && <path className="tl-bond-dots" d={dots} />}
    </>
  );
});

/** In a big drawing only what is held is drawn again, in the accent. */
function HeldBonds({ scene }: { scene: Scene }) {
  const selected = useEditor((state) => state.selection.indices);
  return (
    <>
      {[...selected].flatMap((name) => {
        const index = scene.byName.get(name);
        return index ? [<Bond key={name} index={index} faint={false} />] : [];
      })}
    </>
  );
}

/** All tensors as one path per shape and colour, for drawings seen from afar. */
const ManyMarks = memo(function ManyMarks({ tensors }: { tensors: readonly Placed[] }) {
  const selected = useEditor((state) => state.selection.tensors);
  const groups = useMemo(() => {
    const paths = new Map<string, string[]>();
    for (const { x, y, shape, colour } of tensors) {
      const key = `is-${colour} is-${shape}`;
      const list = paths.get(key) ?? [];
      list.push(outlinePath(shape, { x, y }));
      paths.set(key, list);
    }
    return [...paths].map(([key, list]) => [key, list.join("")] as const);
  }, [tensors]);
  return (
    <>
      {groups.map(([key, path]) => (
        <g key={key} className={`tl-mark-drawn ${key}`}>
          <path className="tl-mark-body" d={path} />
        </g>
      ))}
      {tensors.filter(({ id }) => selected.has(id)).map(({ id, x, y }) => (
        <circle key={id} className="tl-mark-far" cx={x} cy={y} r={34} />
      ))}
    </>
  );
});
