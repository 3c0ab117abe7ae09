/** What datasets hold and what becomes of it: conversations about pictures → ids and targets. */
import type { ImageInput } from "@waggle/image";

export interface Turn {
  readonly from: "human" | "gpt";
  /** `<image>` stands where a picture belongs. */
  readonly value: string;
}

/** One conversation and its pictures, as a file gives it. Nothing is decoded yet. */
export interface Sample {
  /** Names the sample in reports. */
  readonly id: string;
  /** In the order in which they stand in the conversation. */
  readonly images: readonly ImageInput[];
  readonly conversations: readonly Turn[];
}

/** Stands at every position of a visual token. */
export const IMAGE = -200;
/** The label of a position that is no target. */
export const IGNORE = -100;

/** Both lists have one entry per position. The label of a position is its own id, not the next one's. */
export interface EncodedSample {
  readonly input_ids: readonly number[];
  readonly labels: readonly number[];
}

/** How a family turns a conversation into ids and targets. */
export interface SampleEncoder {
  /** `pictureTokens[i]`: how many visual tokens picture i takes; the result has as many {@link IMAGE} there. */
  encode(sample: Sample, pictureTokens: readonly number[]): EncodedSample;
}
