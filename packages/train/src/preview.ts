/** What the model answers now, while it is trained: greedily, without a cache, with the parameters where they are. */
import { type EncodedSample, IGNORE } from "@waggle/data";
import { ops } from "@waggle/graph";
import { type Assembly, weightPlacer } from "@waggle/mllm";
import type { Parameter } from "@waggle/nn";
import type { Resident, Runtime, Session } from "@waggle/runtime";
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

  /** The answer to what stands before the first target of a sample. */
  async answer({ input_ids, labels }: EncodedSample, pictures: readonly PreparedPicture[], shape: PictureShape | null): Promise<string> {
    const first = labels.findIndex((label) => label !== IGNORE);
    const ids = input_ids.slice(0, first);
    const [ends, start] = [new Set(this.#ends()), ids.length];
    while (ids.length - start < LENGTH) {
      const { feeds } = microBatch([{ input_ids: ids, labels: [] }], pictures, shape);
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
