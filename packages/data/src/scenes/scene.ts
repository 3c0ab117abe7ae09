/** What a drawn picture holds. All lengths are shares of the picture's side, x to the right, y down. */

export type Shape = "circle" | "square" | "triangle" | "star" | "heart" | "cross";
export type Color = "red" | "green" | "blue" | "yellow" | "purple" | "pink" | "orange" | "white";
export type ThingSize = "small" | "large";
export type Texture = "flat" | "striped" | "dotted";

export const SHAPES: readonly Shape[] = ["circle", "square", "triangle", "star", "heart", "cross"];
export const COLORS: readonly Color[] = ["red", "green", "blue", "yellow", "purple", "pink", "orange", "white"];
export const SIZES: readonly ThingSize[] = ["small", "large"];
export const TEXTURES: readonly Texture[] = ["flat", "striped", "dotted"];

/** [x1, y1, x2, y2], the smallest box around what is drawn. */
export type BoundingBox = readonly [number, number, number, number];

/** Red, green, blue, 0 to 255. */
export type Rgb = readonly [number, number, number];

export interface Thing {
  readonly shape: Shape;
  readonly color: Color;
  readonly size: ThingSize;
  readonly texture: Texture;
  /** Half of what the shape measures, for most shapes half of its width. */
  readonly radius: number;
  /** The middle of `box`. */
  readonly center: readonly [number, number];
  readonly box: BoundingBox;
  readonly fill: Rgb;
  /** False if something drawn over the thing hides one of its edges, so that its box cannot be told from the picture. */
  readonly boxVisible: boolean;
}

/** A board with a number or a word on it, drawn in capitals. */
export interface Sign {
  readonly kind: "number" | "word";
  readonly text: string;
  readonly box: BoundingBox;
  /** One dot of the letters, which are 5 dots wide and 7 high. */
  readonly dot: number;
  readonly board: Rgb;
  readonly ink: Rgb;
}

export interface Bar {
  readonly color: Color;
  readonly box: BoundingBox;
  readonly fill: Rgb;
}

/**
 * plain: flat shapes side by side on a dark ground. varied: also textures, overlaps, other grounds.
 * sign: some flat shapes and one sign. chart: bars on one base line, and nothing else.
 */
export type SceneKind = "plain" | "varied" | "sign" | "chart";
export const SCENE_KINDS: readonly SceneKind[] = ["plain", "varied", "sign", "chart"];

export interface Scene {
  readonly kind: SceneKind;
  /** The ground's colour at the top and at the bottom. */
  readonly background: readonly [Rgb, Rgb];
  /** Back to front. */
  readonly things: readonly Thing[];
  readonly sign: Sign | null;
  /** Left to right. */
  readonly bars: readonly Bar[];
}

/** A colour and a shape that a thing can have together. */
export interface Pair {
  readonly color: Color;
  readonly shape: Shape;
}

/** "composition" has only pictures with colours and shapes together that the other splits never show nor name. */
export type SceneSplit = "train" | "validation" | "test" | "composition";

export const SPLITS: readonly SceneSplit[] = ["train", "validation", "test", "composition"];

/** Pairs that no picture and no question shows outside the split "composition": each shape once, six colours once each. */
const HELD_OUT: Readonly<Record<Shape, Color>> = {
  circle: "white",
  square: "red",
  triangle: "orange",
  star: "green",
  heart: "yellow",
  cross: "pink",
};

export function isHeldOut({ color, shape }: Pair): boolean {
  return HELD_OUT[shape] === color;
}

export const PAIRS: readonly Pair[] = COLORS.flatMap((color) => SHAPES.map((shape) => ({ color, shape })));
export const HELD_OUT_PAIRS: readonly Pair[] = PAIRS.filter(isHeldOut);
export const TRAINING_PAIRS: readonly Pair[] = PAIRS.filter((pair) => !isHeldOut(pair));
