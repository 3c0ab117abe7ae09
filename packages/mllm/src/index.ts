export { type ImageInput, image } from "@waggle/image";
export { ChatStream, type GenerateResult } from "./chat-stream.ts";
export { Composition, compose, type Parts } from "./compose.ts";
export type { Explanation } from "./explain.ts";
export { inspect, type ModelDescription, type PartDescription } from "./inspect.ts";
export { load } from "./load.ts";
export type { LoadOptions, Progress } from "./load-options.ts";
export type { Message, MessagePart } from "./message.ts";
export { type CallOptions, type GenerateOptions, MultimodalModel } from "./multimodal-model.ts";
