/**
 * Words for visual tokens: what is drawn where a token looks, as targets beside the answers. An answer is one bit about a
 * picture; this is one about every part of it, and so the encoder learns what things are before anybody asks.
 */
import { IGNORE, IMAGE, type Sample, type SampleEncoder, type SceneSample } from "@waggle/data";
import type { Tokenizer } from "@waggle/text";

type Scene = SceneSample["scene"];

/** Points a cell is looked at, in each direction; what covers fewer of them than {@link COVERED} is not its word. */
const POINTS = 4;
const COVERED = 3;

/** For each of side × side cells, row by row, the words that fit it; "no" where nothing is. */
export function cellWords(scene: Scene, side: number): string[][] {
  return Array.from({ length: side * side }, (_, cell) => {
    const seen = new Map<string, number>();
    for (let point = 0; point < POINTS ** 2; point++) {
      const x = ((cell % side) + ((point % POINTS) + 0.5) / POINTS) / side;
      const y = (Math.floor(cell / side) + (Math.floor(point / POINTS) + 0.5) / POINTS) / side;
      const words = wordsAt(scene, x, y);
      if (words !== null) seen.set(words, (seen.get(words) ?? 0) + 1);
    }
    const words = [...seen].flatMap(([text, points]) => (points >= COVERED ? text.split(" ") : []));
    return words.length > 0 ? [...new Set(words)] : ["no"];
  });
}

/** What is in front at a point: a thing, the letter of a sign, or a bar. */
function wordsAt({ things, sign, bars }: Scene, x: number, y: number): string | null {
  const inside = ({ box: [x1, y1, x2, y2] }: { readonly box: readonly [number, number, number, number] }): boolean =>
    x >= x1 && x < x2 && y >= y1 && y < y2;
  if (sign !== null && inside(sign)) {
    const [left, , right] = sign.box;
    const letter = sign.text[Math.floor(((x - left) / (right - left)) * sign.text.length)] ?? "";
    return `sign ${sign.kind === "word" ? sign.text : letter}`;
  }
  const bar = bars.find(inside);
  if (bar) return `${bar.color} bar`;
  const thing = things.findLast(inside);
  return thing ? `${thing.size} ${thing.color} ${thing.shape}` : null;
}

/** The picture alone: a word for each of its visual tokens, one of those that fit. */
export function visualWords(tokenizer: Tokenizer): SampleEncoder {
  return {
    encode(sample, [tokens = 0]) {
      const bos = tokenizer.special.bos ?? 0;
      const input_ids = [bos, ...Array.from({ length: tokens }, () => IMAGE), bos];
      return withWords({ input_ids, labels: input_ids.map(() => IGNORE) }, sample, tokenizer);
    },
  };
}

/** The conversation that `encoder` makes, and a word for each visual token. */
export function withVisualWords(encoder: SampleEncoder, tokenizer: Tokenizer): SampleEncoder {
  return { encode: (sample, tokens) => withWords(encoder.encode(sample, tokens), sample, tokenizer) };
}

type Encoded = ReturnType<SampleEncoder["encode"]>;

/** A token's word is the label behind it: there its hidden state predicts. */
function withWords({ input_ids, labels }: Encoded, sample: Sample, tokenizer: Tokenizer): Encoded {
  const first = input_ids.indexOf(IMAGE);
  const cells = cellWords((sample as SceneSample).scene, Math.sqrt(input_ids.filter((id) => id === IMAGE).length));
  const index = Number(/\d+$/.exec(sample.id)?.[0] ?? 0);
  const named = [...labels];
  for (const [cell, words] of cells.entries()) {
    const id = tokenizer.encode(words[(index + cell) % words.length] ?? "no", { addSpecialTokens: false })[0];
    named[first + cell + 1] = id ?? IGNORE;
  }
  return { input_ids, labels: named };
}
