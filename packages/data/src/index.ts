export {
  type Batch,
  type BatchOptions,
  batches,
  batchesPerEpoch,
  checkEncoded,
  type DataPosition,
  isBroken,
  type Prepared,
  type Skipped,
} from "./batches.ts";
export { type CaptionOptions, openCaptions } from "./captions.ts";
export { type OpenOptions, openConversations } from "./conversations.ts";
export { DataError, type DataErrorCode } from "./data-error.ts";
export type { Dataset, SampleLength } from "./dataset.ts";
export { type ChatEncoderOptions, chatEncoder } from "./encode/chat.ts";
export { type HoneybeeEncoderOptions, honeybeeEncoder } from "./encode/honeybee.ts";
export { type LlavaEncoderOptions, llavaEncoder } from "./encode/llava.ts";
export { type MiniGpt4EncoderOptions, miniGpt4Encoder, miniGpt4Instructions } from "./encode/minigpt4.ts";
export { type MixtureOptions, type MixturePart, mixture } from "./mixture.ts";
export type { Order } from "./order.ts";
export { type EncodedSample, IGNORE, IMAGE, type Sample, type SampleEncoder, type Turn } from "./sample.ts";
export { boxOverlap, boxText, parseBox } from "./scenes/box-text.ts";
export { SIGN_WORDS } from "./scenes/compose-scene.ts";
export { drawScene } from "./scenes/draw-scene.ts";
export type { SceneFamily, SceneQuestion } from "./scenes/question.ts";
export {
  type Bar,
  type BoundingBox,
  COLORS,
  type Color,
  HELD_OUT_PAIRS,
  type Pair,
  type Rgb,
  type Scene,
  type SceneKind,
  type SceneSplit,
  SHAPES,
  type Shape,
  type Sign,
  type Texture,
  type Thing,
  type ThingSize,
} from "./scenes/scene.ts";
export { sceneViewer, type ViewedSample } from "./scenes/scene-viewer.ts";
export { type SceneDataset, type SceneSample, type ScenesOptions, scenes } from "./scenes/scenes.ts";
export { type BaselineScore, type TextOnlyBaseline, textOnlyBaseline } from "./scenes/text-only-baseline.ts";
