export type { Feed } from "./feeds.ts";
export {
  type ConvertWeights,
  type PlacementContext,
  type PlaceWeightsOptions,
  placeWeights,
  type WeightLocation,
  type WeightPlacement,
  type WeightPlacer,
  type WeightToPlace,
} from "./placement.ts";
export type { OnProgress, Progress } from "./progress.ts";
export type { OperatorProfile, TensorType } from "./protocol.ts";
export type { BlockPosition, CopyOptions, Resident, ResidentView } from "./resident.ts";
export { type CompileOptions, type Device, Runtime, type RuntimeOptions } from "./runtime.ts";
export { RuntimeError, type RuntimeErrorCode } from "./runtime-error.ts";
export type { OutputWrite, RunOptions, RunResult, Session, ValueInfo } from "./session.ts";
