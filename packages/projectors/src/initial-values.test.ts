/** New weights as the authors make them (reference/nn/init_stats.py). */
import { readFileSync } from "node:fs";
import { initialize } from "@waggle/nn";
import { describe, expect, test } from "vitest";
import { expectInitialValues, type InitialFacts } from "../../../testing/initial-values.ts";
import { blip2QFormerKey, cAbstractor, dAbstractor, groupedLinear, honeybeeMlp, mlp, qFormer, resampler } from "./index.ts";

type Family = "qformer" | "llava" | "groupedLinear" | "honeybee" | "honeybeeLevels";
const vectors: Readonly<Record<Family, InitialFacts>> & {
  readonly referencePoints: {
    readonly facts: InitialFacts;
    readonly tokens: number;
    readonly rows: number;
    readonly columns: number;
    readonly values: readonly number[];
  };
} = JSON.parse(readFileSync(new URL("./__vectors__/initial-values.json", import.meta.url), "utf8"));

const grid = { rows: 4, columns: 4 };

test("LLaVA's MLP: as torch makes it", () => expectInitialValues(mlp()(24, 32, grid), vectors.llava));
test("MiniGPT-4's linear map over groups: as torch makes it", () =>
  expectInitialValues(groupedLinear({ group: 4 })(24, 32, grid), vectors.groupedLinear));

test("Q-Former", () => {
  const sizes = { tokens: 8, hidden_size: 48, num_hidden_layers: 3, num_attention_heads: 4, intermediate_size: 64 };
  const own = (pattern: string): string => blip2QFormerKey(pattern.replaceAll("\\", ""))?.replaceAll(".", "\\.") ?? "";
  const facts = Object.fromEntries(Object.entries(vectors.qformer).map(([pattern, fact]) => [own(pattern), fact]));
  expectInitialValues(qFormer(sizes)(24, 32, grid), facts);
});

describe("Honeybee", () => {
  const facts = vectors.honeybee;
  test("MLP", () => expectInitialValues(honeybeeMlp({ prenorm: true, pos_emb: true, num_eos_tokens: 2 })(24, 32, grid), facts));
  test("C-Abstractor", () =>
    expectInitialValues(cAbstractor({ tokens: 4, hidden_size: 16, depth: 1, prenorm: true, num_eos_tokens: 2 })(24, 32, grid), facts));
  test("D-Abstractor, of one level and of several", () => {
    const sizes = { d_model: 16, decoder_layers: 1, decoder_attention_heads: 2, decoder_ffn_dim: 24, decoder_n_points: 2 };
    for (const [levels, pooled_v_target] of [
      [1, "query"],
      [3, "none"],
    ] as const) {
      const make = dAbstractor({ tokens: 9, ...sizes, num_feature_levels: levels, pooled_v_target, num_eos_tokens: 2 });
      expectInitialValues(make(24, 32, grid), { ...(levels > 1 ? vectors.honeybeeLevels : facts), ...vectors.referencePoints.facts });
    }
  });
  // Its queries are zeros in the original: see resampler.ts.
  test("resampler", () => {
    const sizes = { hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 24 };
    const queries = { query_tokens: { mean: 0, std: 0.02, kurtosis: 3 } };
    return expectInitialValues(resampler({ tokens: 4, ...sizes, pos_emb: true, num_eos_tokens: 2 })(24, 32, grid), {
      ...facts,
      ...queries,
    });
  });

  test("reference points lie on the grid", async () => {
    const { tokens, values, facts: _, ...of } = vectors.referencePoints;
    const module = dAbstractor({ tokens, d_model: 16, decoder_attention_heads: 2, decoder_layers: 1 })(16, 16, of);
    initialize(module, { seed: 0 });
    const bytes = await new Map(module.namedParameters()).get("reference_points")?.source?.read();
    const found = new Float32Array(bytes?.slice().buffer ?? new ArrayBuffer(0));
    expect(found).toEqual(Float32Array.from(values));
  });
});
