/**
 * Where things stand, so that everything that can be asked about them has one answer: apart from each other, off the
 * picture's middle lines, or overlapping so little that shape, colour and size stay plain to see.
 */
import { contrasts, tone } from "./colors.ts";
import type { RandomStream } from "./random-stream.ts";
import type { BoundingBox, Pair, Rgb, Texture, Thing, ThingSize } from "./scene.ts";
import { extent, visiblePart } from "./shapes.ts";

/** Between two boxes, and to the picture's edge. */
const GAP = 0.025;
/** From a middle to the lines that part the corners: 3 pixels of 96, as near as any thing in golden/waggle-scenes but one. */
export const CORNER_MARGIN = 0.035;
/** What must stay visible of a thing under another. */
export const VISIBLE_SHARE = 0.72;
/** A box counts as visible if no edge moves by more than this. */
const EDGE_TOLERANCE = 0.012;

const RADII: Readonly<Record<ThingSize, readonly [number, number]>> = { small: [0.072, 0.094], large: [0.134, 0.166] };

export type Spot = readonly [number, number];

/** A thing that has no place yet. */
export interface Unplaced extends Pair {
  readonly size: ThingSize;
  readonly texture: Texture;
}

export interface Ground {
  readonly tones: readonly Rgb[];
  /** What is there already: no thing touches it. */
  readonly taken: readonly BoundingBox[];
  /** Whether a thing may hide a part of another. */
  readonly overlaps: boolean;
}

const TRIES = 40;

/** All of `wanted` in places of their own, the first of them at the `spots`; null if they do not fit after some tries. */
export function placeThings(random: RandomStream, wanted: readonly Unplaced[], ground: Ground, spots: readonly Spot[]): Thing[] | null {
  let placed: Thing[] = [];
  for (const [i, unplaced] of wanted.entries()) {
    const [low, high] = RADII[unplaced.size];
    const radius = random.between(low, high);
    let next: Thing[] | null = null;
    for (let attempt = 0; attempt < TRIES && next === null; attempt++) {
      const beside = ground.overlaps && placed.length > 0 && random.chance(0.5) ? random.pick(placed) : null;
      const center = spots[i] ?? randomCenter(random, unplaced, radius, beside);
      const thing = standing(unplaced, radius, center, tone(random, unplaced.color));
      if (fits(thing, ground)) next = withThing(placed, thing, ground.overlaps);
    }
    if (next === null) return null;
    placed = next;
  }
  return placed;
}

function randomCenter(random: RandomStream, { shape }: Unplaced, radius: number, beside: Thing | null): Spot {
  const [width, height] = extent(shape, radius);
  if (beside === null) {
    return [random.between(GAP + width / 2, 1 - GAP - width / 2), random.between(GAP + height / 2, 1 - GAP - height / 2)];
  }
  const reach = radius + beside.radius;
  return [beside.center[0] + random.between(-reach, reach), beside.center[1] + random.between(-reach, reach)];
}

function standing(unplaced: Unplaced, radius: number, [x, y]: Spot, fill: Rgb): Thing {
  const [width, height] = extent(unplaced.shape, radius);
  const box: BoundingBox = [x - width / 2, y - height / 2, x + width / 2, y + height / 2];
  return { ...unplaced, radius, center: [x, y], box, fill, boxVisible: true };
}

function fits({ box, center, fill }: Thing, { tones, taken }: Ground): boolean {
  const inside = box[0] >= GAP && box[1] >= GAP && box[2] <= 1 - GAP && box[3] <= 1 - GAP;
  const offLines = center.every((value) => Math.abs(value - 0.5) >= CORNER_MARGIN);
  return inside && offLines && tones.every((color) => contrasts(color, fill)) && taken.every((other) => apart(box, other));
}

/** `placed` with `thing` in front, or null where that would hide too much. A thing overlaps at most one other. */
function withThing(placed: readonly Thing[], thing: Thing, overlaps: boolean): Thing[] | null {
  const touched = placed.filter(({ box }) => !apart(box, thing.box));
  const [under] = touched;
  if (under === undefined) return [...placed, thing];
  if (!overlaps || touched.length > 1 || placed.some((other) => other !== under && !apart(other.box, under.box))) return null;
  if (under.color === thing.color || !contrasts(under.fill, thing.fill)) return null;
  const { share, box } = visiblePart(under, thing);
  if (share < VISIBLE_SHARE) return null;
  // the grid's cells leave half a cell at every edge
  const whole = visiblePart(under, { ...thing, center: [-9, -9] }).box;
  const boxVisible = box.every((edge, i) => Math.abs(edge - (whole[i] ?? 0)) <= EDGE_TOLERANCE);
  return [...placed.map((other) => (other === under ? { ...under, boxVisible } : other)), thing];
}

function apart(a: BoundingBox, b: BoundingBox): boolean {
  return a[2] + GAP <= b[0] || b[2] + GAP <= a[0] || a[3] + GAP <= b[1] || b[3] + GAP <= a[1];
}
