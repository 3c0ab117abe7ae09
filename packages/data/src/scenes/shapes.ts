/**
 * The six shapes around their middle: how far they reach, their outline for drawing, and which points they cover.
 * The unit is the thing's radius. Proportions are those of the pictures in golden/waggle-scenes.
 */
import type { BoundingBox, Shape, Thing } from "./scene.ts";

type Point = readonly [number, number];

/** A star's tips lie on a circle of radius 1, its notches on one of 0.43; the middle of its box is not the circle's. */
const STAR_WIDTH = 2 * Math.cos(Math.PI / 10);
const STAR_HEIGHT = 1 + Math.cos(Math.PI / 5);
const ARM = 0.35;

const star: readonly Point[] = Array.from({ length: 10 }, (_, i): Point => {
  const [radius, angle] = [i % 2 === 0 ? 1 : 0.43, (i * Math.PI) / 5];
  return [radius * Math.sin(angle), 1 - STAR_HEIGHT / 2 - radius * Math.cos(angle)];
});
const cross: readonly Point[] = [
  [-ARM, -1],
  [ARM, -1],
  [ARM, -ARM],
  [1, -ARM],
  [1, ARM],
  [ARM, ARM],
  [ARM, 1],
  [-ARM, 1],
  [-ARM, ARM],
  [-1, ARM],
  [-1, -ARM],
  [-ARM, -ARM],
];
const square: readonly Point[] = [
  [-0.9, -0.9],
  [0.9, -0.9],
  [0.9, 0.9],
  [-0.9, 0.9],
];
const triangle: readonly Point[] = [
  [0, -0.9],
  [1, 0.9],
  [-1, 0.9],
];

/** A heart: two circles of radius 0.5, and the kite that their tangents to the tip (0, 0.89) enclose. */
const LOBE: Point = [0.5, -0.39];
const TOUCH: Point = [0.8674, -0.0508];
const kite: readonly Point[] = [[0, -0.39], TOUCH, [0, 0.89], [-TOUCH[0], TOUCH[1]]];

interface Form {
  readonly width: number;
  readonly height: number;
  /** An SVG path. */
  outline(x: number, y: number, radius: number): string;
  covers(point: Point): boolean;
}

const forms: Readonly<Record<Shape, Form>> = {
  circle: {
    width: 2,
    height: 2,
    outline: (x, y, r) =>
      `M${fixed(x - r)} ${fixed(y)}a${fixed(r)} ${fixed(r)} 0 1 0 ${fixed(2 * r)} 0a${fixed(r)} ${fixed(r)} 0 1 0 ${fixed(-2 * r)} 0z`,
    covers: ([x, y]) => x * x + y * y <= 1,
  },
  square: polygon(1.8, 1.8, square),
  triangle: polygon(2, 1.8, triangle),
  star: polygon(STAR_WIDTH, STAR_HEIGHT, star),
  cross: polygon(2, 2, cross),
  heart: {
    width: 2,
    height: 1.78,
    outline: (x, y, r) => {
      const [arc, [tx, ty]] = [`A${fixed(r / 2)} ${fixed(r / 2)} 0 1 1`, TOUCH];
      const left = `M${fixed(x)} ${fixed(y + 0.89 * r)}L${fixed(x - tx * r)} ${fixed(y + ty * r)}${arc} ${fixed(x)} ${fixed(y - 0.39 * r)}`;
      return `${left}${arc} ${fixed(x + tx * r)} ${fixed(y + ty * r)}z`;
    },
    covers: ([x, y]) => Math.hypot(Math.abs(x) - LOBE[0], y - LOBE[1]) <= 0.5 || inPolygon(kite, [x, y]),
  },
};

function polygon(width: number, height: number, corners: readonly Point[]): Form {
  return {
    width,
    height,
    outline: (x, y, r) => `M${corners.map(([dx, dy]) => `${fixed(x + dx * r)} ${fixed(y + dy * r)}`).join("L")}z`,
    covers: (point) => inPolygon(corners, point),
  };
}

function inPolygon(corners: readonly Point[], [x, y]: Point): boolean {
  let inside = false;
  let previous = corners.at(-1) ?? [0, 0];
  for (const corner of corners) {
    const crosses = corner[1] > y !== previous[1] > y;
    if (crosses && x < corner[0] + ((y - corner[1]) / (previous[1] - corner[1])) * (previous[0] - corner[0])) inside = !inside;
    previous = corner;
  }
  return inside;
}

function fixed(value: number): string {
  return String(Math.round(value * 100) / 100);
}

/** Width and height of a shape, in the unit of `radius`. */
export function extent(shape: Shape, radius: number): readonly [number, number] {
  const { width, height } = forms[shape];
  return [width * radius, height * radius];
}

/** The outline as an SVG path, in pixels of a picture that is `side` wide. */
export function outline({ shape, center, radius }: Thing, side: number): string {
  return forms[shape].outline(center[0] * side, center[1] * side, radius * side);
}

type Placed = Pick<Thing, "shape" | "center" | "radius" | "box">;

/** Whether the thing covers the point. */
export function covers({ shape, center, radius }: Placed, [x, y]: Point): boolean {
  return forms[shape].covers([(x - center[0]) / radius, (y - center[1]) / radius]);
}

const SAMPLES = 32;

/** What is left to see of `lower` under `upper`: its share, and the box around it. Counted on a grid of 32 by 32 points. */
export function visiblePart(lower: Placed, upper: Placed): { readonly share: number; readonly box: BoundingBox } {
  const [left, top, right, bottom] = lower.box;
  let [all, seen] = [0, 0];
  let [x1, y1, x2, y2] = [1, 1, 0, 0];
  for (let i = 0; i < SAMPLES * SAMPLES; i++) {
    const x = left + ((right - left) * ((i % SAMPLES) + 0.5)) / SAMPLES;
    const y = top + ((bottom - top) * (Math.floor(i / SAMPLES) + 0.5)) / SAMPLES;
    if (!covers(lower, [x, y])) continue;
    all++;
    if (covers(upper, [x, y])) continue;
    seen++;
    [x1, y1, x2, y2] = [Math.min(x1, x), Math.min(y1, y), Math.max(x2, x), Math.max(y2, y)];
  }
  return { share: seen / all, box: [x1, y1, x2, y2] };
}
