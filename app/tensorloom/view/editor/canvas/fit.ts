/** Where the viewport has to be so that the drawing is well seen. Pure. */

import { extent } from "./outlines.ts";
import { type Box, boxAround, boxOf, type DiagramPoint, type ScreenPoint } from "./points.ts";
import type { Scene } from "./scene.ts";

export interface View {
  readonly x: number;
  readonly y: number;
  readonly zoom: number;
}

export const MOST_ZOOM = 4;
export const LEAST_ZOOM = 0.02;
/** Fitting never magnifies more than this: a single tensor stays a tensor. */
const FIT_ZOOM = 1.15;

/** Everything that is drawn, without labels. */
export function sceneBox(scene: Scene): Box {
  const points: DiagramPoint[] = scene.tensors.flatMap((tensor) => {
    const { width, height } = extent(tensor.shape);
    const box = boxAround(tensor, width, height);
    return [{ x: box.left, y: box.top }, { x: box.right, y: box.bottom }];
  });
  for (const index of scene.indices) {
    for (const { curve } of index.strands) points.push(curve.from, curve.one, curve.two, curve.to);
  }
  return boxOf(points);
}

/** The view that shows the box in the middle of a canvas, with room for labels, hint and zoom bar. */
export function fitted(box: Box, width: number, height: number): View {
  const margin = { side: Math.min(72, width * 0.08), top: Math.min(64, height * 0.12), bottom: Math.min(84, height * 0.16) };
  const room = { width: Math.max(1, width - 2 * margin.side), height: Math.max(1, height - margin.top - margin.bottom) };
  const size = { width: Math.max(1, box.right - box.left), height: Math.max(1, box.bottom - box.top) };
  const zoom = Math.max(LEAST_ZOOM, Math.min(FIT_ZOOM, room.width / size.width, room.height / size.height));
  const x = width / 2 - (zoom * (box.left + box.right)) / 2;
  const y = margin.top + room.height / 2 - (zoom * (box.top + box.bottom)) / 2;
  return { x, y, zoom };
}

export const toDiagram = (point: ScreenPoint, view: View): DiagramPoint => ({ x: (point.x - view.x) / view.zoom, y: (point.y - view.y) / view.zoom });
export const toScreen = (point: DiagramPoint, view: View): ScreenPoint => ({ x: point.x * view.zoom + view.x, y: point.y * view.zoom + view.y });

/** Whether the drawing is there to see: all of it inside, and not lost as a speck. */
export function wellSeen(box: Box, view: View, width: number, height: number): boolean {
  const [start, end] = [toScreen({ x: box.left, y: box.top }, view), toScreen({ x: box.right, y: box.bottom }, view)];
  const insideAll = start.x >= 0 && start.y >= 0 && end.x <= width && end.y <= height;
  return insideAll && (view.zoom >= 0.9 || end.x - start.x > width / 2 || end.y - start.y > height / 2);
}
