export { ClipVisionEncoder, clip } from "./clip.ts";
export type { ClipVisionConfig } from "./clip-config.ts";
export type { ClipOptions } from "./clip-options.ts";
export { limits } from "./config-fields.ts";
export { EvaVisionEncoder, eva } from "./eva.ts";
export { blip2VisionKey, splitQkvBias } from "./eva-blip2.ts";
export type { EvaOptions, EvaVisionConfig } from "./eva-config.ts";
export { vitB16, vitB32, vitL14, vitL14_336 } from "./presets.ts";
export type { Grid, VisionEncoder } from "./vision-encoder.ts";
