import { DataError } from "../data-error.ts";
import { type EncodedSample, IGNORE, IMAGE } from "../sample.ts";

/** Ids from `start` up to, not including, `end` are targets. */
export type LabelSpan = readonly [start: number, end: number];

export function labelled(ids: readonly number[], targets: readonly LabelSpan[]): EncodedSample {
  const labels = ids.map(() => IGNORE);
  for (const [start, end] of targets) for (let i = start; i < Math.min(end, ids.length); i++) labels[i] = ids[i] as number;
  return { input_ids: ids, labels };
}

/** One {@link IMAGE} per picture → one per visual token. */
export function expanded(
  { input_ids, labels }: EncodedSample,
  pictureTokens: readonly number[],
  cure = "Each picture needs one <image> where it belongs.",
): EncodedSample {
  const places = input_ids.filter((id) => id === IMAGE).length;
  if (places !== pictureTokens.length) {
    throw new DataError("bad-sample", `the conversation shows ${places} pictures, the sample has ${pictureTokens.length}. ${cure}`);
  }
  const [ids, wider]: [number[], number[]] = [[], []];
  let picture = 0;
  for (const [i, id] of input_ids.entries()) {
    const count = id === IMAGE ? (pictureTokens[picture++] ?? 0) : 1;
    for (let copy = 0; copy < count; copy++) {
      ids.push(id);
      wider.push(labels[i] as number);
    }
  }
  return { input_ids: ids, labels: wider };
}

/** At most `length` positions; a picture must fit whole. */
export function cutTo({ input_ids, labels }: EncodedSample, length: number): EncodedSample {
  if (input_ids.length <= length) return { input_ids, labels };
  if (input_ids.includes(IMAGE, length)) {
    const cure = "Use a longer maxLength, or fewer visual tokens.";
    throw new DataError(
      "bad-sample",
      `the last visual token stands at ${input_ids.lastIndexOf(IMAGE)}, behind maxLength ${length}. ${cure}`,
    );
  }
  return { input_ids: input_ids.slice(0, length), labels: labels.slice(0, length) };
}
