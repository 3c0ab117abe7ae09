/** What the model answers now, while it is trained: greedily, without a cache, with the parameters where they are. */
import { type EncodedSample, IGNORE, IMAGE } from "@waggle/data";
import { ops } from "@waggle/graph";
import { type Assembly, weightPlacer } from "@waggle/mllm";
import type { Parameter } from "@waggle/nn";
import type { Resident, Runtime, Session } from "@waggle/runtime";
import type { Tokenizer } from "@waggle/text";
import { Tensor } from "onnxruntime-common";
import { conversationGraph, microBatch, type PictureInput, type PictureShape, type PreparedPicture } from "./conversation-objective.ts";

/** Tokens of an answer; it is looked at, not used. */
const LENGTH = 32;

export class Preview implements Disposable {
  readonly #model: Assembly;
  readonly #session: Session;
  readonly #parameters: ReadonlyMap<string, Resident>;

  private constructor(model: Assembly, session: Session, parameters: ReadonlyMap<string, Resident>) {
    this.#model = model;
    this.#session = session;
    this.#parameters = parameters;
  }

  static async create(
    runtime: Runtime,
    model: Assembly,
    trainable: ReadonlyMap<string, Parameter>,
    parameters: ReadonlyMap<string, Resident>,
    pictures: PictureInput,
  ): Promise<Preview> {
    const { inputs, logits } = conversationGraph(model.language, model.composition, pictures);
    const graph = { name: "preview", inputs: { ...inputs, ...Object.fromEntries(trainable) }, outputs: { next: ops.argMax(logits, -1) } };
    return new Preview(model, await runtime.compile(graph, { weights: weightPlacer() }), parameters);
  }

  /** What the model says behind the first `start` positions of a sample. */
  async answer(
    { input_ids }: EncodedSample,
    start: number,
    pictures: readonly PreparedPicture[],
    shape: PictureShape | null,
  ): Promise<string> {
    const ids = input_ids.slice(0, start);
    const seen = picturesOf(ids, pictures);
    const ends = new Set(this.#ends());
    while (ids.length - start < LENGTH && ids.length <= this.#model.language.max_positions) {
      const { feeds } = microBatch([{ input_ids: ids, labels: [] }], seen, shape);
      const { target_ids: _, ...rest } = feeds;
      const last = new Tensor("int64", BigInt64Array.of(BigInt(ids.length - 1)), [1]);
      const result = await this.#session.run({ ...rest, ...Object.fromEntries(this.#parameters), target_positions: last });
      const id = Number((result.next as Tensor).data[0]);
      if (ends.has(id)) break;
      ids.push(id);
    }
    return (this.#model.detokenizer ?? this.#model.tokenizer).decode(ids.slice(start), { skipSpecialTokens: true });
  }

  dispose(): void {
    this.#session.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  #ends(): readonly number[] {
    const { defaults, tokenizer } = this.#model;
    const named = defaults.eos_token_id ?? tokenizer.special.eos;
    return named === undefined || named === null ? [] : typeof named === "number" ? [named] : named;
  }
}

/**
 * The first answer of a sample: the first targets with a letter or a digit among them. LLaVA's first prompt has the `###`
 * in front of a question among its targets, too.
 */
export function firstAnswer(encoded: EncodedSample, tokenizer: Tokenizer): { readonly start: number; readonly expected: string } {
  // an answer's labels are its own ids; others are targets of the researcher's, as words for visual tokens are
  const labels = encoded.labels.map((label, t) => (label === encoded.input_ids[t] ? label : IGNORE));
  const starts = [...labels.keys()].filter((t) => labels[t] !== IGNORE && (labels[t - 1] ?? IGNORE) === IGNORE);
  const answers = starts.map((start) => {
    const end = labels.indexOf(IGNORE, start);
    return { start, expected: tokenizer.decode(labels.slice(start, end < 0 ? undefined : end), { skipSpecialTokens: true }) };
  });
  return answers.find(({ expected }) => /[\p{L}\p{N}]/u.test(expected)) ?? answers[0] ?? { start: labels.length, expected: "" };
}

/** The pictures that stand among the first ids of a sample. */
function picturesOf(ids: readonly number[], pictures: readonly PreparedPicture[]): readonly PreparedPicture[] {
  let places = ids.filter((id) => id === IMAGE).length;
  return pictures.filter(({ rows }) => {
    places -= rows.length;
    return places >= 0;
  });
}
