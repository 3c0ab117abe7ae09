import type { Resident, Runtime, Session } from "@waggle/runtime";
import { Tensor } from "onnxruntime-common";
import type { Answer } from "./answer.ts";
import { BeamSearch } from "./beams/beam-search.ts";
import { GenerationError, OptionsError } from "./generation-error.ts";
import { GenerationStream } from "./generation-stream.ts";
import { type CacheShape, KeyValuePool } from "./key-value-pool.ts";
import { type GenerationOptions, resolveOptions } from "./options.ts";
import { flattenPrompt, type PromptSegment } from "./prompt.ts";
import { Sequence } from "./sequence.ts";
import { type Slot, SlotTable } from "./slots.ts";
import type { Detokenizer } from "./transcript.ts";

/** The sizes of the decoder; a LanguageModel of @waggle/language has them. */
export interface DecoderShape extends CacheShape {
  readonly max_positions: number;
  readonly vocab_size: number;
  /** True where a key depends on what comes after it (dynamic RoPE): prompts are then computed anew, and in one run. */
  readonly keysDependOnLength: boolean;
}

export interface EngineOptions {
  readonly runtime: Runtime;
  /** A session of the decoder protocol (`decoderGraph` of @waggle/language). The engine uses it, its owner disposes of it. */
  readonly session: Session;
  readonly decoder: DecoderShape;
  /** Where visual tokens are, [F, D]; asked before every run, so it may move. F ≥ 1 even if no prompt has a picture. */
  readonly features: () => Resident;
  /** Sequences computed at the same time: a request takes one, or one per beam; more wait their turn. Default 4. */
  readonly slots?: number;
  /** How many adapters the decoder holds; it then has an input `adapter` [B], 0 for none. Default 0: no such input. */
  readonly adapters?: number;
  /** Prompt tokens per run, so that a long prompt does not hold up the others, nor an abort. Default 256. */
  readonly chunk?: number;
}

export interface GenerationRequest {
  readonly prompt: readonly PromptSegment[];
  readonly detokenizer: Detokenizer;
  readonly options?: GenerationOptions;
  /**
   * What the rules that look at ids (penalties, bans) see of the prompt. Default: all its ids. Empty for a model that its
   * authors give embeddings instead of ids, as transformers does with `inputs_embeds`.
   */
  readonly visiblePrompt?: readonly number[] | undefined;
  /** Whose update the decoder takes, counted from 1. Default 0: none. */
  readonly adapter?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What one run of the decoder computes, for rows `first` … of the cache. */
interface Batch {
  readonly first: number;
  readonly ids: readonly (readonly number[])[];
  readonly featureRows: readonly (readonly number[])[];
  /** Positions in the cache before the run, and how many of the new ones are kept. */
  readonly lengths: readonly number[];
  readonly counts: readonly number[];
  readonly adapters: readonly number[];
}

/**
 * Serves requests on one decoder: each turn computes one chunk of one prompt, and one token of all answers together
 * (continuous batching). What a request gets does not depend on the others: the rows of a batch do not mix, and each
 * request has its own random numbers.
 */
export class Engine implements Disposable {
  readonly #session: Session;
  readonly #decoder: DecoderShape;
  readonly #features: () => Resident;
  readonly #chunk: number;
  readonly #adapters: number;
  readonly #pool: KeyValuePool;
  readonly #slots: SlotTable;
  #waiting: Answer[] = [];
  #running = false;
  #disposed = false;

  constructor({ runtime, session, decoder, features, slots = 4, adapters = 0, chunk = 256 }: EngineOptions) {
    const problems = Object.entries({ slots, chunk })
      .filter(([, value]) => !(Number.isSafeInteger(value) && value >= 1))
      .map(([name, value]) => `${name}: expected an integer ≥ 1, got ${value}`);
    if (problems.length > 0) throw new OptionsError(problems);
    this.#session = session;
    this.#decoder = decoder;
    this.#features = features;
    this.#adapters = adapters;
    this.#chunk = decoder.keysDependOnLength ? Infinity : chunk;
    this.#pool = new KeyValuePool(runtime, decoder);
    this.#slots = new SlotTable(this.#pool, slots, !decoder.keysDependOnLength);
  }

  /** Starts a request. Mistakes in it throw at once; what goes wrong later ends the stream. */
  generate({ prompt, detokenizer, options = {}, visiblePrompt, adapter = 0, signal }: GenerationRequest): GenerationStream {
    if (this.#disposed) throw new GenerationError("disposed", "the engine is disposed; load the model again");
    const resolved = resolveOptions(options);
    if (!(Number.isSafeInteger(adapter) && adapter >= 0 && adapter <= this.#adapters))
      throw new OptionsError([`adapter: expected an integer from 0 to ${this.#adapters}, got ${adapter}`]);
    const flat = flattenPrompt(prompt, this.#decoder.vocab_size, adapter);
    return new GenerationStream((sink) => {
      const { max_positions: maxPositions } = this.#decoder;
      const request = {
        prompt: flat,
        options: resolved,
        detokenizer,
        maxPositions,
        visiblePrompt: visiblePrompt ?? flat.ids,
        sink,
        signal,
      };
      const answer = resolved.num_beams > 1 ? new BeamSearch(request) : new Sequence(request);
      this.#waiting.push(answer);
      void this.#run();
      return () => answer.stop();
    });
  }

  /** Ends every request with an error and frees the cache. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#failAll(new GenerationError("disposed", "the engine was disposed while it was generating"));
    this.#slots.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Works until nobody waits. Never rejects: whatever goes wrong ends the streams it concerns. */
  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    await null; // generate() returns its stream before anything happens on it
    try {
      // Who came in after the turn looked is seen here: nothing can happen between this and the end.
      while (!this.#disposed && ((await this.#turn()) || this.#waiting.length > 0)) {}
    } catch (error) {
      this.#failAll(error); // a lost worker, no memory: nothing that the cache holds can be trusted any more
      this.#slots.clear();
    } finally {
      this.#running = false;
      if (this.#disposed) this.#slots.clear(); // what a resize that was under way has made
    }
  }

  /** One chunk of one prompt, and one step of all answers. False when there was nothing to do. */
  async #turn(): Promise<boolean> {
    await this.#admit();
    const prefilling = this.#slots.rows.find((slot) => unfinished(slot) && slot.row === 0 && !inAnswer(slot));
    if (prefilling) await this.#prefill(prefilling);
    const answering = this.#slots.rows.some((slot) => unfinished(slot) && inAnswer(slot));
    if (answering) await this.#step();
    return prefilling !== undefined || answering;
  }

  /** Gives waiting requests a slot while there is one. */
  async #admit(): Promise<void> {
    this.#slots.vacate();
    for (;;) {
      this.#waiting = this.#waiting.filter((answer) => !answer.settled);
      const [next] = this.#waiting;
      const slot = next && (await this.#slots.assign(next));
      if (!slot) return;
      this.#waiting = this.#waiting.filter((answer) => answer !== next);
      next.begin(slot.length);
    }
  }

  #failAll(error: unknown): void {
    for (const answer of this.#waiting) answer.fail(error);
    for (const { answer } of this.#slots.rows) answer?.fail(error);
    this.#waiting = [];
  }

  /** Computes the next chunk of a slot's prompt; after the last one the first token is chosen. */
  async #prefill(slot: Slot): Promise<void> {
    const { answer } = slot;
    if (!answer) return;
    const { ids, featureRows } = answer.prompt;
    const start = slot.length;
    const end = Math.min(ids.length, start + this.#chunk);
    await this.#slots.reserve(end + 1);
    const logits = await this.#decode({
      first: this.#slots.rows.indexOf(slot),
      ids: [ids.slice(start, end)],
      featureRows: [featureRows.slice(start, end)],
      lengths: [start],
      counts: [end - start],
      adapters: [answer.prompt.adapter],
    });
    slot.length = end;
    if (end === ids.length) await this.#choose(answer, [logits(0)]);
  }

  /** One token for every row of every answer. Rows between the first and the last of them are computed too, without effect. */
  async #step(): Promise<void> {
    const active = (slot: Slot) => unfinished(slot) && inAnswer(slot);
    await this.#slots.reserve(Math.max(...this.#slots.rows.filter(active).map((slot) => slot.length + 1)));
    const first = this.#slots.rows.findIndex(active);
    const slots = this.#slots.rows.slice(first, this.#slots.rows.findLastIndex(active) + 1);
    const steps = slots.map(active);
    const logits = await this.#decode({
      first,
      ids: slots.map((slot, i) => [steps[i] ? (slot.answer?.lastId(slot.row) ?? 0) : 0]),
      featureRows: slots.map(() => [-1]),
      lengths: slots.map((slot, i) => (steps[i] ? slot.length : 0)),
      counts: steps.map(Number),
      adapters: slots.map(({ answer }) => answer?.prompt.adapter ?? 0),
    });
    const computed = slots.filter((_, i) => steps[i]);
    for (const slot of computed) slot.length += 1;
    for (const answer of new Set(computed.flatMap(({ answer }) => answer ?? []))) {
      const rows = this.#slots.of(answer).map((slot) => logits(slots.indexOf(slot)));
      await this.#choose(answer, rows);
    }
  }

  /** Lets an answer choose its next tokens, and its rows of the cache follow. */
  async #choose(answer: Answer, logits: readonly Float32Array[]): Promise<void> {
    let parents: readonly number[] | null = null;
    try {
      parents = answer.accept(logits);
    } catch (error) {
      answer.fail(error); // its own options or detokenizer: no fault of the other requests
    }
    if (parents) await this.#slots.fork(answer, parents);
  }

  /** Runs the decoder, appends the new keys and values to the cache, and returns the rows of logits. */
  async #decode({ first, ids, featureRows, lengths, counts, adapters }: Batch): Promise<(row: number) => Float32Array> {
    const [rows, width] = [ids.length, ids[0]?.length ?? 0];
    const positions = lengths.map((length) => Array.from({ length: width }, (_, i) => length + i));
    const feeds = {
      input_ids: int64(ids, [rows, width]),
      features: this.#features(),
      feature_rows: int64(featureRows, [rows, width]),
      position_ids: int64(positions, [rows, width]),
      past_lengths: int64([lengths], [rows]),
      ...(this.#adapters > 0 && { adapter: int64([adapters], [rows]) }),
      ...this.#pool.feeds(first, rows),
    };
    const { logits } = await this.#session.run(feeds, { fetch: ["logits"], write: this.#pool.writes(first, lengths, counts) });
    const data = logits?.data;
    if (!(data instanceof Float32Array)) throw new GenerationError("scores", `the decoder's logits are ${logits?.type}, expected float32`);
    const vocabulary = data.length / rows;
    return (row) => data.subarray(row * vocabulary, (row + 1) * vocabulary);
  }
}

function unfinished({ answer }: Slot): boolean {
  return answer !== null && !answer.settled;
}

/** Is the prompt computed, so that the slot's next token belongs to the answer? */
function inAnswer({ answer, length }: Slot): boolean {
  return answer !== null && length >= answer.prompt.ids.length;
}

function int64(rows: readonly (readonly number[])[], dims: readonly number[]): Tensor {
  return new Tensor("int64", BigInt64Array.from(rows.flat(), BigInt), dims);
}
