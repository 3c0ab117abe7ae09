export { type EncodedSample, IGNORE, IMAGE, type Sample, type SampleEncoder, type Turn } from "./sample.ts";
export { boxOverlap, boxText, parseBox } from "./scenes/box-text.ts";
export { drawScene } from "./scenes/draw-scene.ts";
export type { SceneFamily, SceneQuestion } from "./scenes/question.ts";
export {
  type Bar,
  type BoundingBox,
  type Color,
  HELD_OUT_PAIRS,
  type Pair,
  type Rgb,
  type Scene,
  type SceneKind,
  type SceneSplit,
  type Shape,
  type Sign,
  type Texture,
  type Thing,
  type ThingSize,
} from "./scenes/scene.ts";
export { type SceneDataset, type SceneSample, type ScenesOptions, scenes } from "./scenes/scenes.ts";
export { type BaselineScore, type TextOnlyBaseline, textOnlyBaseline } from "./scenes/text-only-baseline.ts";
