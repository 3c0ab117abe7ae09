/**
 * BLIP-2 over OPT, as on the Hugging Face hub: EVA vision encoder → Q-Former → `language_projection` → OPT.
 *
 *     vision_model.*                            vision_tower.*             (`qkv.bias` split: @waggle/vision)
 *     query_tokens · qformer.* · language_projection.*   multi_modal_projector.*
 *     language_model.*                          language_model.*
 *
 *     ids    num_query_tokens × <image>, then `</s>` (the tokenizer puts it), then the prompt
 *
 * reference  transformers `Blip2ForConditionalGeneration`, `Blip2Processor`
 */
import { readFloat32 } from "@waggle/checkpoint";
import { DataError, IGNORE, IMAGE, type SampleEncoder } from "@waggle/data";
import type { WeightSource } from "@waggle/graph";
import { computedSource, type StateDict } from "@waggle/nn";
import { blip2QFormerKey, qFormer } from "@waggle/projectors";
import { blip2, countPlaceholders, IMAGE_PLACEHOLDER, loadTokenizer, PromptError, type Tokenizer } from "@waggle/text";
import { blip2VisionKey, eva, splitQkvBias } from "@waggle/vision";
import { folderProcessor, generationDefaults } from "./assets.ts";
import { bindWeights } from "./bind.ts";
import type { Blip2Config } from "./blip2-config.ts";
import { buildLanguage } from "./build-language.ts";
import { type Composition, compose } from "./compose.ts";
import { type Dialect, strippedAnswer } from "./dialect.ts";
import type { LoadOptions } from "./load-options.ts";
import { type ModelFolder, openWeights } from "./model-folder.ts";
import { type Assembly, assemblyOf } from "./start.ts";

export async function blip2Assembly(config: Blip2Config, model: ModelFolder, options: LoadOptions, began: number): Promise<Assembly> {
  const folder = model.base;
  const composition = blip2Composition(config);
  bindBlip2(composition, await openWeights(model, options, blip2Key));
  const tokenizer = await loadTokenizer(folder);
  const tokenId = config.image_token_id ?? -1; // where there is none, no rule may look at it: it is no token's id
  return assemblyOf(composition, {
    tokenizer,
    processor: await folderProcessor(folder),
    template: options.prompt ?? composition.prompt,
    tokenId,
    dialect: blip2Dialect(tokenizer, tokenId),
    defaults: await generationDefaults(folder, tokenizer),
    began,
  });
}

/** The parts, without weights. */
export function blip2Composition({ vision, qformer, text }: Blip2Config): Composition {
  return compose({ vision: eva(vision), projector: qFormer(qformer), language: buildLanguage(text), prompt: blip2 });
}

export function bindBlip2(composition: Composition, { source, tensors }: StateDict): void {
  // A part of a bias that an adapter trained stands beside the whole bias, under its own name, and takes the part's place.
  const parts = [...splitQkvBias(tensors)].filter(([key]) => tensors.has(key) || !tensors.has(blip2Key(key)));
  bindWeights(composition.modules, { source, tensors: new Map(parts) }, blip2Key);
}

/** The tensors as Hugging Face spells them: a part of a bias that an adapter trained goes back into the whole one. */
export function publishedBlip2(tensors: ReadonlyMap<string, WeightSource>): ReadonlyMap<string, WeightSource> {
  const trained = new Set<string>();
  const whole = [...tensors].map(([key, source]): readonly [string, WeightSource] => {
    if (!/\.qkv\.bias$/.test(key)) return [key, source];
    const parts = ["q_bias", "", "v_bias"].map((part) => blip2Key(key).replace("qkv.bias", part));
    const beside = parts.map((part) => tensors.get(part));
    if (beside.every((part) => part === undefined)) return [key, source];
    for (const part of parts) trained.add(part);
    return [key, wholeBias(source, beside)];
  });
  return new Map(whole.filter(([key]) => !trained.has(key)));
}

/** [3C]: its thirds, or those [C] that take their places. */
function wholeBias(source: WeightSource, thirds: readonly (WeightSource | undefined)[]): WeightSource {
  const [length = 0] = source.shape;
  const content = [source, ...thirds].map((part) => part?.fingerprint ?? "").join(" ");
  return computedSource("float32", source.shape, `qkv.bias ${content}`, async () => {
    const values = await readFloat32(source);
    for (const [i, third] of thirds.entries()) if (third) values.set(await readFloat32(third), (i * length) / 3);
    return values;
  });
}

/** The composition's spelling of a key in a Hugging Face file. */
export function blip2Key(key: string): string {
  const vision = blip2VisionKey(key);
  if (vision !== null) return `vision_tower.${vision}`;
  const projector = blip2QFormerKey(key);
  return projector === null ? key : `multi_modal_projector.${projector}`;
}

/** One picture, in front of the text; a prompt text may name its place, or leave it out as transformers' processor does. */
function blip2Dialect(tokenizer: Tokenizer, tokenId: number): Dialect {
  const promptIds = (text: string, imageTokens: readonly number[]): readonly number[] => {
    const [rows, ...more] = imageTokens;
    const placeholders = countPlaceholders(text);
    if (rows === undefined || more.length > 0 || placeholders > 1 || text.indexOf(IMAGE_PLACEHOLDER) > 0) {
      const message = "BLIP-2 looks at one picture, which stands in front of the text";
      const facts = { placeholders, pictures: imageTokens.length };
      throw new PromptError("images", `${message}; got pictures: ${facts.pictures}, placeholders in the text: ${placeholders}.`, facts);
    }
    const said = placeholders === 1 ? text.slice(IMAGE_PLACEHOLDER.length) : text;
    return [...new Array<number>(rows).fill(tokenId), ...tokenizer.encode(said)];
  };
  return { promptIds, encoder: blip2Encoder(tokenizer, promptIds), answer: () => strippedAnswer() };
}

/** A caption, or the answer to a question, and the line's end behind it, which ends what OPT says: LAVIS `Blip2OPT.forward`. */
function blip2Encoder(tokenizer: Tokenizer, promptIds: Dialect["promptIds"]): SampleEncoder {
  return {
    encode({ conversations }, pictureTokens) {
      const [human, gpt] = conversations;
      if (conversations.length !== 2 || human?.from !== "human" || gpt?.from !== "gpt") {
        throw new DataError("bad-sample", `BLIP-2 learns from one question or caption at a time, found ${conversations.length} turns.`);
      }
      const text = human.value.replaceAll(IMAGE_PLACEHOLDER, "").trim();
      const prompt = blip2.render([{ role: "user", content: text }]);
      const pictures = pictureTokens.reduce((sum, count) => sum + count, 0);
      const ids = promptIds(prompt, pictureTokens, true).map((id, at) => (at < pictures ? IMAGE : id));
      const target = tokenizer.encode(`${prompt === "" ? "" : " "}${gpt.value}\n`, { addSpecialTokens: false });
      return { input_ids: [...ids, ...target], labels: [...ids.map(() => IGNORE), ...target] };
    },
  };
}
