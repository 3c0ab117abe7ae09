/** Which trials a lab is made of. */
import { createHash } from "node:crypto";
import { input, lower, serialize, symbol } from "@waggle/graph";
import type { Assembly, Composition } from "@waggle/mllm";
import { ConfigError, type ConfigProblem } from "@waggle/nn";
import type { Stage } from "@waggle/train";
import type { HeldQuestions } from "./held-questions.ts";
import type { LabSpec, Trial } from "./lab-options.ts";

export interface Plan {
  /** Every seed of everything before the next seed: a lab that ends early has compared all. */
  readonly trials: readonly Trial[];
  /** Pairs that are not defined. */
  readonly left: readonly string[];
  /** N */
  readonly patches: number;
}

/** Builds each pair of projector and M once. @throws ConfigError with every pair that cannot be built. */
export async function planTrials(spec: LabSpec): Promise<Plan> {
  const pairs: { readonly projector: string; readonly tokens: number }[] = [];
  const [left, problems]: [string[], ConfigProblem[]] = [[], []];
  let patches = 0;
  for (const [projector, factory] of Object.entries(spec.projectors)) {
    const made = new Set<number>();
    for (const tokens of spec.tokens) {
      try {
        const composition = compositionOf(await spec.base(factory(tokens), 0));
        patches = composition.modules.vision_tower.patches;
        made.add(composition.tokensPerImage);
        if (composition.tokensPerImage === tokens) pairs.push({ projector, tokens });
        else left.push(`${projector} at ${tokens} (it makes ${composition.tokensPerImage})`);
      } catch (error) {
        problems.push({ field: `projectors.${projector}`, message: `with ${tokens} tokens: ${messageOf(error)}` });
      }
    }
    if (made.size > 0 && !spec.tokens.some((tokens) => made.has(tokens)))
      problems.push({
        field: "tokens",
        message: `${projector} makes ${[...made].join(", ")}, which is not among ${spec.tokens.join(", ")}.`,
      });
  }
  if (problems.length > 0) throw new ConfigError("lab", problems);
  const trials = Array.from({ length: spec.seeds }, (_, seed) => pairs.map((pair) => ({ ...pair, seed }))).flat();
  return { trials, left, patches };
}

/** Of what somebody's class threw. */
export function messageOf(error: unknown): string {
  return error instanceof ConfigError ? error.message : String(error);
}

export function compositionOf({ composition }: Assembly): Composition {
  if (composition !== null) return composition;
  throw new ConfigError("lab", [{ field: "base", message: "expected a model that was composed: compose({ … }).assemble(…)." }]);
}

/** Names everything that decides what a trial finds: weights, the graph from pixels to visual tokens, prompt, stages, seed, questions. */
export function trialFingerprint(model: Assembly, stages: readonly Stage[], { seed }: Trial, questions: HeldQuestions): string {
  const { modules } = compositionOf(model);
  const { vision_tower, multi_modal_projector } = modules;
  const weights = Array.from(modules.namedParameters(), ([path, { shape, source }]) => [path, shape, source?.fingerprint]);
  const { height, width } = vision_tower.image_size;
  const pixel_values = input("pixel_values", "float32", [symbol("B"), 3, height, width]);
  const tokens = multi_modal_projector.forward(vision_tower.forward(pixel_values));
  const graph = { name: "tokens", inputs: { pixel_values }, outputs: { tokens } };
  const computed = serialize(lower(graph, "portable"), ({ shape }) => ({
    location: "weights",
    offset: 0,
    byteLength: shape.reduce((product, size) => product * size, 4),
  }));
  const plain = (_: string, value: unknown): unknown => (value instanceof RegExp ? String(value) : value);
  const prompt = model.template?.render([{ role: "user", content: "<image>" }]);
  const asked = [questions.matched.name, questions.questions];
  return createHash("sha256")
    .update(JSON.stringify([weights, prompt, model.sight?.processor.settings, stages, seed, asked], plain))
    .update(computed)
    .digest("hex");
}
