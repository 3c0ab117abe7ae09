/**
 * Visual tokens as sums of words: what is drawn where a token looks, to be read off the token alone by the embeddings of the
 * words that say so. An answer is one bit about a picture; this is several about every part of it, so the encoder learns what
 * things are before anybody asks. And a language model that finds a word in a text finds it in a picture then.
 *
 * Two ways to say what is where. "parts": every token names what covers most of its part, which teaches colours and shapes
 * soonest. "things": one token a thing, the one in its middle, names it and its box; so things can be counted and compared.
 */
import {
  COLORS,
  IGNORE,
  IMAGE,
  type SampleEncoder,
  type Scene,
  type SceneDataset,
  type SceneSample,
  SHAPES,
  SIGN_WORDS,
} from "@waggle/data";
import { constant, ops, type Value } from "@waggle/graph";
import type { Llama } from "@waggle/language";
import { computedSource, normal, type Parameter, random } from "@waggle/nn";
import type { Tokenizer } from "@waggle/text";
import { conversations, crossEntropy, type Task } from "@waggle/train";

export type Saying = "parts" | "things";

/** What a token says: words by {@link SLOTS}. A slot that is not there says "nothing". */
type Said = Partial<Record<Slot, string>>;

/** Tenths of the picture, spelled as bytes that no text has. */
export const tenths = (first: number): string[] => Array.from({ length: 10 }, (_, i) => `<0x${(first + i).toString(16).toUpperCase()}>`);

/** What the first slot says; it may be any id all the same. */
const NAMES = [...SHAPES, "bar", ...Array.from({ length: 10 }, (_, digit) => String(digit)), ...SIGN_WORDS];

/** The words of each slot but the first, which may be any id; how much a slot counts. Shapes are the hardest to learn. */
const SLOTS = {
  name: { words: null, parts: 0.4, things: 0.3 },
  color: { words: [...COLORS, "sign"], parts: 0.2, things: 0.15 },
  size: { words: ["small", "large"], parts: 0.2, things: 0.1 },
  row: { words: ["top", "bottom"], parts: 0.1, things: 0.05 },
  column: { words: ["left", "right"], parts: 0.1, things: 0.05 },
  x1: { words: tenths(0x80), parts: 0, things: 0.0875 },
  y1: { words: tenths(0x90), parts: 0, things: 0.0875 },
  x2: { words: tenths(0xa0), parts: 0, things: 0.0875 },
  y2: { words: tenths(0xb0), parts: 0, things: 0.0875 },
} as const;
type Slot = keyof typeof SLOTS;
const slots = Object.keys(SLOTS) as Slot[];

/** `<unk>`, which no text has. */
const NOTHING = 0;

type Box = Scene["things"][number]["box"];

function places([x1, y1, x2, y2]: Box): Said {
  const tenth = (slot: "x1" | "y1" | "x2" | "y2", value: number) =>
    SLOTS[slot].words[Math.min(9, Math.max(0, Math.floor(10 * value)))] ?? "";
  return {
    row: y1 + y2 < 1 ? "top" : "bottom",
    column: x1 + x2 < 1 ? "left" : "right",
    ...{ x1: tenth("x1", x1), y1: tenth("y1", y1), x2: tenth("x2", x2), y2: tenth("y2", y2) },
  };
}

/** Everything that is drawn, back to front: where it is, in which point it is met, and what is said of it. */
function drawnIn({ things, sign, bars }: Scene): { readonly box: Box; readonly point: readonly [number, number]; readonly said: Said }[] {
  const glyphs = sign === null ? [] : sign.kind === "word" ? [sign.text] : [...sign.text];
  return [
    ...things.map(({ shape, color, size, center, box }) => ({ box, point: center, said: { name: shape, color, size, ...places(box) } })),
    ...bars.map(({ color, box }) => ({
      box,
      point: [(box[0] + box[2]) / 2, box[1]] as const,
      said: { name: "bar", color, ...places(box) },
    })),
    ...glyphs.map((name, i) => {
      const [x1, y1, x2, y2] = sign?.box ?? [0, 0, 0, 0];
      const width = (x2 - x1) / glyphs.length;
      const box: Box = [x1 + i * width, y1, x1 + (i + 1) * width, y2];
      return { box, point: [x1 + (i + 0.5) * width, (y1 + y2) / 2] as const, said: { name, color: "sign", ...places([x1, y1, x2, y2]) } };
    }),
  ];
}

/** Points at which a part is looked at, in each direction; what is at fewer of them than {@link COVERED} does not count. */
const POINTS = 4;
const COVERED = 3;

/** What the tokens of side × side parts say, row by row. */
export function sayings(scene: Scene, side: number, saying: Saying): Said[] {
  const drawn = drawnIn(scene);
  return Array.from({ length: side * side }, (_, part) => {
    const [row, column] = [Math.floor(part / side), part % side];
    if (saying === "things") {
      const met = drawn.findLast(({ point: [x, y] }) => Math.floor(x * side) === column && Math.floor(y * side) === row);
      return met?.said ?? {};
    }
    const covered = new Map<Said, number>();
    for (let i = 0; i < POINTS ** 2; i++) {
      const [x, y] = [(column + ((i % POINTS) + 0.5) / POINTS) / side, (row + (Math.floor(i / POINTS) + 0.5) / POINTS) / side];
      const front = drawn.findLast(({ box: [x1, y1, x2, y2] }) => x >= x1 && x < x2 && y >= y1 && y < y2);
      if (front) covered.set(front.said, (covered.get(front.said) ?? 0) + 1);
    }
    const [most] = [...covered].sort(([, a], [, b]) => b - a);
    return most !== undefined && most[1] >= COVERED ? most[0] : {};
  });
}

/** Of a slot all ids that it may have; "nothing" first. */
function idsOf(slot: Slot, tokenizer: Tokenizer): number[] {
  const { words } = SLOTS[slot];
  const id = (word: string): number =>
    word.startsWith("<") ? (tokenizer.tokenId(word) ?? NOTHING) : (tokenizer.encode(word, { addSpecialTokens: false })[0] ?? NOTHING);
  return words === null ? Array.from({ length: tokenizer.size }, (_, i) => i) : [NOTHING, ...words.map(id)];
}

/**
 * Fresh embeddings for the words that no picture says. Naming has pushed them all to one place by now, away from what every token
 * says (cosines of 0.97 among each other), and a language model could not tell by them what it is asked.
 */
export function renewUnsaid(embeddings: Parameter, tokenizer: Tokenizer): void {
  const { source, shape } = embeddings;
  if (source === null) throw new Error("renewUnsaid: the embeddings have no values yet; train them first.");
  const [rows = 0, width = 1] = shape;
  const id = (word: string): number => tokenizer.encode(word, { addSpecialTokens: false })[0] ?? NOTHING;
  const said = new Set([...NAMES.map(id), ...slots.flatMap((slot) => (slot === "name" ? [] : idsOf(slot, tokenizer)))]);
  embeddings.source = computedSource("float32", shape, `renewUnsaid ${source.fingerprint}`, async () => {
    const values = new Float32Array(rows * width);
    normal(1 / Math.sqrt(width)).fill(values, shape, random(0, "renewUnsaid"));
    const before = new Float32Array((await source.read()).slice().buffer);
    for (const row of said) values.set(before.subarray(row * width, (row + 1) * width), row * width);
    return values;
  });
}

/** What a token says travels as one label, a digit for each slot, and is taken apart again in the loss. */
function encoder(tokenizer: Tokenizer, tables: Readonly<Record<Slot, readonly number[]>>, saying: Saying): SampleEncoder {
  const digit = (slot: Slot, word: string | undefined): number => {
    if (word === undefined) return 0;
    const words: readonly string[] | null = SLOTS[slot].words;
    return words === null ? (tokenizer.encode(word, { addSpecialTokens: false })[0] ?? NOTHING) : words.indexOf(word) + 1;
  };
  const packed = (said: Said): number => slots.reduceRight((sum, slot) => sum * tables[slot].length + digit(slot, said[slot]), 0);
  return {
    encode(sample, [tokens = 0]) {
      const said = sayings((sample as SceneSample).scene, Math.sqrt(tokens), saying);
      // a label is predicted at the position before its own
      return { input_ids: [...said.map(() => IMAGE), NOTHING], labels: [IGNORE, ...said.map(packed)] };
    },
  };
}

/** The task of a stage in which the embeddings of words learn, and whatever makes the visual tokens. */
export function spelled(scenes: SceneDataset, tokenizer: Tokenizer, saying: Saying): Task {
  const tables = Object.fromEntries(slots.map((slot) => [slot, idsOf(slot, tokenizer)])) as Record<Slot, number[]>;
  /** Σ over the tokens: logits [M, V], labels [M] → []. */
  const loss = (logits: Value, labels: Value): Value => {
    let rest = labels;
    const losses = slots.flatMap((slot) => {
      const base = constant(tables[slot].length, { dtype: "int64" });
      const next = ops.div(rest, base);
      const digits = ops.sub(rest, ops.mul(next, base));
      rest = next;
      const share = SLOTS[slot][saying];
      const table = constant(tables[slot], { dtype: "int64" });
      return share === 0 ? [] : [ops.mul(crossEntropy(logits, ops.gather(table, digits, 0)), share)];
    });
    return losses.reduce((sum, each) => ops.add(sum, each));
  };
  const task = conversations(scenes, { encoder: encoder(tokenizer, tables, saying), loss });
  return {
    ...task,
    name: `${task.name} ${saying}`,
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
