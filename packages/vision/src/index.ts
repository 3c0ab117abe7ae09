export { ClipVisionEncoder, clip } from "./clip.ts";
export { type ClipVisionConfig, limits } from "./clip-config.ts";
export type { ClipOptions } from "./clip-options.ts";
export { vitB16, vitB32, vitL14, vitL14_336 } from "./presets.ts";
export type { Grid, VisionEncoder } from "./vision-encoder.ts";
