import {
  type Detokenizer,
  type Engine,
  GenerationError,
  type GenerationOptions,
  OptionsError,
  type ResolvedOptions,
  resolveOptions,
} from "@waggle/generation";
import { type DecodeOptions, decodeImage, type ImageInput, type Picture } from "@waggle/image";
import { ConfigError } from "@waggle/nn";
import type { Runtime } from "@waggle/runtime";
import { PromptError, type Tokenizer } from "@waggle/text";
import type { Adapters } from "./adapters.ts";
import { type BatchPrompt, generateAll } from "./batch.ts";
import { ChatStream, type GenerateResult, type StartedAnswer } from "./chat-stream.ts";
import { type Dialect, visibleIds } from "./dialect.ts";
import type { Explanation } from "./explain.ts";
import { imagesOf, type Message } from "./message.ts";
import type { PictureFeatures, PlacedPicture } from "./picture-features.ts";
import type { PromptEncoder } from "./prompt-encoder.ts";

export interface CallOptions extends GenerationOptions {
  readonly signal?: AbortSignal | undefined;
  /** One of the adapters that the model was loaded with. Default: none, the base answers. */
  readonly adapter?: string | null | undefined;
}

export interface GenerateOptions extends CallOptions {
  /** The pictures of a prompt text, one for each placeholder. Those of messages stand in the messages. */
  readonly images?: readonly ImageInput[] | undefined;
}

/** What the projector looked at in a picture. */
export type Explain = (picture: Picture, signal: AbortSignal | undefined) => Promise<Explanation>;

/** What a running model is made of. */
export interface ModelParts {
  readonly runtime: Runtime;
  readonly engine: Engine;
  readonly encoder: PromptEncoder;
  readonly tokenizer: Tokenizer;
  /** Turns an answer's ids into text. Default: the tokenizer. */
  readonly detokenizer?: Detokenizer | undefined;
  readonly dialect?: Dialect | undefined;
  /** null for a language model alone. */
  readonly pictures: PictureFeatures | null;
  /** null where the projector cannot say what it looked at. */
  readonly explain: Explain | null;
  readonly adapters: Adapters | null;
  readonly defaults: GenerationOptions;
  readonly limits: Omit<DecodeOptions, "signal">;
  readonly loadMs: number;
}

/** A model that answers. Requests may overlap: they share its steps, and none changes what another gets. */
export class MultimodalModel implements Disposable {
  readonly #parts: ModelParts;
  #disposed = false;

  constructor(parts: ModelParts) {
    this.#parts = parts;
  }

  /** The names of the adapters that it was loaded with. */
  get adapters(): readonly string[] {
    return this.#parts.adapters?.names ?? [];
  }

  /**
   * Answers a conversation. Messages are handed over whole each turn; as far as they begin like an earlier turn,
   * what was computed for it is used again.
   */
  chat(messages: readonly Message[], options: CallOptions = {}): ChatStream {
    return this.stream(messages, options);
  }

  /** Answers a conversation, or goes on from a prompt text in which `<image>` stands for each of `images`. */
  stream(prompt: string | readonly Message[], options: GenerateOptions = {}): ChatStream {
    return new ChatStream(this.#start(prompt, options));
  }

  /** The same, all at once. */
  generate(prompt: string | readonly Message[], options: GenerateOptions = {}): Promise<GenerateResult> {
    return this.stream(prompt, options).result;
  }

  /**
   * Answers several prompts together, in their order. Each gets what it would get alone, so an answer ends with its own
   * last token: none is padded to the length of the longest.
   */
  generateBatch(prompts: readonly BatchPrompt[], options: CallOptions = {}): Promise<readonly GenerateResult[]> {
    return generateAll(prompts, options, (prompt, each) => this.generate(prompt, each));
  }

  /**
   * What the projector looked at: a map over the picture for every visual token, and a way to draw them.
   * @throws ConfigError for projectors that map patches one by one, and language models alone: there is nothing to show.
   */
  async explain(input: ImageInput, { signal }: { readonly signal?: AbortSignal } = {}): Promise<Explanation> {
    const { explain, limits, pictures } = this.#parts;
    if (this.#disposed) throw new GenerationError("disposed", "the model is disposed; load it again");
    if (explain === null) {
      const message =
        pictures === null ? "there is none: the model takes text only." : "it maps every patch by itself, so there is nothing to show.";
      throw new ConfigError("explain", [{ field: "projector", message }]);
    }
    return explain(await decodeImage(input, { ...limits, ...(signal && { signal }) }), signal);
  }

  /** Ends the worker and frees its memory; what is being generated ends with an error. Twice is harmless. */
  dispose(): void {
    this.#disposed = true;
    this.#parts.engine.dispose();
    this.#parts.runtime.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  async #start(prompt: string | readonly Message[], { images, signal, adapter: name, ...given }: GenerateOptions): Promise<StartedAnswer> {
    if (this.#disposed) throw new GenerationError("disposed", "the model is disposed; load it again");
    const { engine, encoder, tokenizer, detokenizer = tokenizer, dialect, defaults, loadMs } = this.#parts;
    const began = performance.now();
    const adapter = this.#adapterNumber(name);
    const isText = typeof prompt === "string";
    const options = resolveOptions(defaults, (!isText && dialect?.conversation) || {}, given);
    signal?.throwIfAborted();
    if (images && !Array.isArray(images)) {
      throw new PromptError("images", "the option `images` is a list, one image(…) for each placeholder in the text.");
    }
    if (!isText && images) {
      throw new PromptError("messages", "the option `images` goes with a prompt text; the pictures of messages stand in their content.");
    }
    const { text, stop } = isText ? { text: prompt, stop: [] } : encoder.render(prompt);
    const inputs = isText ? (images ?? []) : imagesOf(prompt);
    encoder.ids(text, new Array<number>(inputs.length).fill(1), !isText); // a wrong number of pictures is known before one is opened
    const placed: PlacedPicture[] = [];
    const release = () => {
      for (const picture of placed) picture.release();
    };
    try {
      for (const input of inputs) placed.push(await this.#look(input, signal, adapter));
      const encodeMs = performance.now() - began;
      const ids = encoder.ids(
        text,
        placed.map(({ rows }) => rows),
        !isText,
      );
      const whole = encoder.segments(ids, placed);
      const segments = dialect?.fit?.(whole, options, !isText) ?? whole;
      const tokens = engine.generate({
        prompt: segments,
        detokenizer,
        options: withStops(options, stop, given.eos_token_id != null, tokenizer),
        visiblePrompt: dialect && visibleIds(dialect, options),
        adapter,
        signal,
      });
      const imageTokens = segments.reduce((sum, segment) => sum + ("rows" in segment ? segment.rows : 0), 0);
      return { tokens, imageTokens, loadMs, encodeMs, answer: dialect?.answer?.(!isText), release };
    } catch (error) {
      release();
      throw error;
    }
  }

  #adapterNumber(name: string | null | undefined): number {
    const names = this.adapters;
    if (name == null || names.includes(name)) return name == null ? 0 : names.indexOf(name) + 1;
    const there = names.length > 0 ? `There are: ${names.join(", ")}.` : "None were: load(model, { adapters: { name: folder } }).";
    throw new OptionsError([`adapter: ${JSON.stringify(name)} was not loaded. ${there}`]);
  }

  async #look(input: ImageInput, signal: AbortSignal | undefined, adapter: number): Promise<PlacedPicture> {
    const { pictures, limits, adapters } = this.#parts;
    if (!pictures) throw new PromptError("images", "the model takes text only.");
    const picture = await decodeImage(input, { ...limits, ...(signal && { signal }) });
    return pictures.place(picture, signal, adapters?.variants[adapter] ? adapter : 0);
  }
}

/**
 * Stop strings beside the end tokens. One that is a special token never shows up in the text, so it ends the answer as a
 * token; of the template's, only where the call does not name its own end tokens.
 */
function withStops(options: ResolvedOptions, template: readonly string[], ownEnd: boolean, tokenizer: Tokenizer): GenerationOptions {
  const specialId = (stop: string): number | undefined => {
    const id = tokenizer.tokenId(stop);
    return id !== undefined && tokenizer.decode([id], { skipSpecialTokens: true }) === "" ? id : undefined;
  };
  const stops = [...options.stop_strings, ...template];
  const ids = [...options.stop_strings, ...(ownEnd ? [] : template)].flatMap((stop) => specialId(stop) ?? []);
  return {
    ...options,
    eos_token_id: [...new Set([...options.eos_token_id, ...ids])],
    stop_strings: stops.filter((stop) => specialId(stop) === undefined),
  };
}
