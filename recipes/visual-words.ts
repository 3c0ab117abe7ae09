/**
 * Visual tokens as sums of words: for every part of a picture what is drawn there, to be read off its visual token alone, by
 * the embeddings of the words that say so. An answer is one bit about a picture; this is several about every part of it, so
 * the encoder learns what things are before anybody asks. And a language model that finds a word in a text finds it in a
 * picture then, for both are the same to it.
 */
import { IGNORE, IMAGE, type SampleEncoder, type Scene, type SceneDataset, type SceneSample } from "@waggle/data";
import { constant, ops, type Value } from "@waggle/graph";
import type { Llama } from "@waggle/language";
import type { Tokenizer } from "@waggle/text";
import { conversations, crossEntropy, type Task } from "@waggle/train";

/** Points at which a part is looked at, in each direction; what is at fewer of them than {@link COVERED} does not count. */
const POINTS = 4;
const COVERED = 3;

/** What is read off a part where nothing is: `<unk>`, which no text has. */
const NOTHING = 0;

/** For each of side × side parts, row by row, what covers most of it, in words; none where nothing does. */
export function wordsOfParts(scene: Scene, side: number): (readonly string[])[] {
  return Array.from({ length: side * side }, (_, part) => {
    const seen = new Map<string, number>();
    for (let point = 0; point < POINTS ** 2; point++) {
      const x = ((part % side) + ((point % POINTS) + 0.5) / POINTS) / side;
      const y = (Math.floor(part / side) + (Math.floor(point / POINTS) + 0.5) / POINTS) / side;
      const words = wordsAt(scene, x, y);
      if (words !== null) seen.set(words, (seen.get(words) ?? 0) + 1);
    }
    const [most] = [...seen].sort(([, a], [, b]) => b - a);
    return most !== undefined && most[1] >= COVERED ? most[0].split(" ") : [];
  });
}

/** What is in front at a point: a sign's letter or its word, a bar, or a thing. */
function wordsAt({ things, sign, bars }: Scene, x: number, y: number): string | null {
  const inside = ({ box: [x1, y1, x2, y2] }: { readonly box: readonly [number, number, number, number] }): boolean =>
    x >= x1 && x < x2 && y >= y1 && y < y2;
  if (sign !== null && inside(sign)) {
    const [left, , right] = sign.box;
    const letter = sign.text[Math.floor(((x - left) / (right - left)) * sign.text.length)];
    return `${sign.kind === "word" ? sign.text : letter} sign`;
  }
  const bar = bars.find(inside);
  if (bar) return `${bar.color} bar`;
  const thing = things.findLast(inside);
  if (thing === undefined) return null;
  const [cx, cy] = thing.center;
  return `${thing.shape} ${thing.color} ${thing.size} ${cy < 0.5 ? "top" : "bottom"} ${cx < 0.5 ? "left" : "right"}`;
}

/** How much the words of a part count, in the order in which {@link wordsAt} says them: shapes are the hardest to learn. */
const SHARES = [0.4, 0.2, 0.2, 0.1, 0.1];
/** A part's ids travel as one number, so many ids to a place; 1024⁵ is a whole number of JavaScript's. */
const BASE = 1024;

function pictureAlone(tokenizer: Tokenizer): SampleEncoder {
  const idOf = (word: string | undefined): number =>
    word === undefined ? NOTHING : (tokenizer.encode(word, { addSpecialTokens: false })[0] ?? NOTHING);
  const packed = (words: readonly string[]): number =>
    SHARES.reduceRight((sum, _, i) => sum * BASE + idOf(words[i % Math.max(1, words.length)]), 0);
  return {
    encode(sample, [tokens = 0]) {
      const parts = wordsOfParts((sample as SceneSample).scene, Math.sqrt(tokens));
      // a label is predicted at the position before its own
      return { input_ids: [...parts.map(() => IMAGE), NOTHING], labels: [IGNORE, ...parts.map(packed)] };
    },
  };
}

/** Σ over the parts: logits [M, V], packed [M] → []. */
function readWords(logits: Value, packed: Value): Value {
  let rest = packed;
  const losses = SHARES.map((share) => {
    const next = ops.div(rest, constant(BASE, { dtype: "int64" }));
    const ids = ops.sub(rest, ops.mul(next, constant(BASE, { dtype: "int64" })));
    rest = next;
    return ops.mul(crossEntropy(logits, ids), share);
  });
  return losses.reduce((sum, loss) => ops.add(sum, loss));
}

/** The task of a stage in which the embeddings of words learn, and whatever makes the visual tokens. */
export function spelled(scenes: SceneDataset, tokenizer: Tokenizer): Task {
  const task = conversations(scenes, { encoder: pictureAlone(tokenizer), loss: readWords });
  return {
    ...task,
    async open(context) {
      const { model } = context;
      const { norm } = (model.language as Llama).model;
      // a language model without layers
      const language = Object.create(model.language, { decode: { value: (embeddings: Value) => norm.forward(embeddings) } });
      const opened = await task.open({ ...context, model: { ...model, language } });
      return { objective: opened.objective, batches: (request) => opened.batches(request), dispose: () => opened.dispose() };
    },
  };
}
