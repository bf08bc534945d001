/** A network as an SVG: circles, straight lines, names; positions are the drawing's own. */

export interface Drawn {
  tensors: { name: string; indices: string[]; shape: number[]; at: [number, number]; colour: string }[];
  output: string[];
  anchors: Record<string, [number, number]>;
}

type Point = readonly [number, number];

const RADIUS = 22;
const LEG = 52;
const SPACE = "http://www.w3.org/2000/svg";

function element(name: string, attributes: Record<string, string | number>): SVGElement {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

/** Both ends of every line: joined tensors, a hyperindex's middle, an open leg's free end. */
export function linesOf(drawn: Drawn): { from: Point; to: Point; name: string }[] {
  const holders = new Map<string, Point[]>();
  for (const tensor of drawn.tensors) for (const index of tensor.indices) holders.set(index, [...(holders.get(index) ?? []), tensor.at]);
  return [...holders].flatMap(([name, ends]) => {
    const [first, second] = ends;
    if (ends.length === 2 && first && second && !drawn.output.includes(name)) return [{ from: first, to: second, name }];
    const placed = Object.hasOwn(drawn.anchors, name) ? drawn.anchors[name] : undefined;
    const middle = placed ?? (ends.length === 1 && first ? freeEnd(first, drawn, name) : mean(ends));
    return ends.map((from) => ({ from, to: middle, name }));
  });
}

/** Away from the other tensors; legs of one tensor spread by their place among its indices. */
function freeEnd(at: Point, drawn: Drawn, name: string): Point {
  const centre = mean(drawn.tensors.map((tensor) => tensor.at));
  const holder = drawn.tensors.find((tensor) => tensor.indices.includes(name));
  const turn = 0.5 * (holder?.indices.indexOf(name) ?? 0);
  const angle = Math.atan2(at[1] - centre[1] || 1, at[0] - centre[0]) + turn;
  return [at[0] + LEG * Math.cos(angle), at[1] + LEG * Math.sin(angle)];
}

function mean(points: readonly Point[]): Point {
  const sum = points.reduce<[number, number]>((total, point) => [total[0] + point[0], total[1] + point[1]], [0, 0]);
  return [sum[0] / Math.max(1, points.length), sum[1] / Math.max(1, points.length)];
}

export function drawing(drawn: Drawn, choose: (number: number) => void): SVGElement {
  const lines = linesOf(drawn);
  const points = [...lines.flatMap(({ from, to }) => [from, to]), ...drawn.tensors.map((tensor) => tensor.at)];
  const margin = RADIUS + 12;
  const [left, top] = [0, 1].map((axis) => Math.min(...points.map((point) => point[axis] as number)) - margin) as [number, number];
  const [right, bottom] = [0, 1].map((axis) => Math.max(...points.map((point) => point[axis] as number)) + margin) as [number, number];
  const svg = element("svg", { viewBox: `${left} ${top} ${right - left} ${bottom - top}`, width: right - left, role: "group", "aria-label": "Tensor network" });
  for (const { from, to, name } of lines) {
    const line = element("line", { x1: from[0], y1: from[1], x2: to[0], y2: to[1] });
    const title = element("title", {});
    title.textContent = name;
    line.append(title);
    svg.append(line);
  }
  const circles = drawn.tensors.map((tensor, number) => {
    const circle = element("circle", { cx: tensor.at[0], cy: tensor.at[1], r: RADIUS, tabindex: 0, role: "button", "data-colour": tensor.colour, "aria-label": `Tensor ${tensor.name}`, "aria-pressed": "false" });
    const chosen = () => {
      for (const other of circles) other.setAttribute("aria-pressed", String(other === circle));
      choose(number);
    };
    circle.addEventListener("click", chosen);
    circle.addEventListener("keydown", (event) => {
      if (!["Enter", " "].includes((event as KeyboardEvent).key)) return;
      event.preventDefault();
      chosen();
    });
    return circle;
  });
  drawn.tensors.forEach((tensor, number) => {
    const text = element("text", { x: tensor.at[0], y: tensor.at[1] });
    const [name = "", ...below] = tensor.name.split("_");
    const subscript = element("tspan", { dy: 5, "font-size": 10 });
    subscript.textContent = below.join("_");
    text.append(name, subscript);
    svg.append(circles[number] as SVGElement, text);
  });
  return svg;
}
