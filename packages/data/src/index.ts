export { type Batch, type BatchOptions, batches, batchesPerEpoch, type DataPosition, type Prepared, type Skipped } from "./batches.ts";
export { type OpenOptions, openConversations } from "./conversations.ts";
export { DataError, type DataErrorCode } from "./data-error.ts";
export type { Dataset, SampleLength } from "./dataset.ts";
export { type LlavaEncoderOptions, llavaEncoder } from "./encode/llava.ts";
export type { Order } from "./order.ts";
export { type EncodedSample, IGNORE, IMAGE, type Sample, type SampleEncoder, type Turn } from "./sample.ts";
