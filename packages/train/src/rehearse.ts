/** A run's stages gone through without training: a pattern of the last one that names nothing is known before the first begins. */
import { addLora, ConfigError, type ConfigProblem, Embedding, Linear, type LoraLinear, type LoraOptions, type Module } from "@waggle/nn";
import { groupProblems, type ParameterGroup } from "./optimizer.ts";
import { type ParameterPattern, patternMatches, patternProblems } from "./select.ts";

/** What of a stage speaks of the model. */
export interface Plan {
  readonly trainable: readonly ParameterPattern[];
  readonly lora?: LoraOptions | undefined;
  readonly groups: readonly Pick<ParameterGroup, "parameters">[];
}

/** What is wrong with any of the stages, for this model. The modules are afterwards as they were. */
export function rehearse(modules: Module, stages: readonly Plan[]): readonly ConfigProblem[] {
  const places = [...modules.namedModules()].flatMap(([, parent]) =>
    [...parent.namedChildren()].flatMap(([name, child]) => (child instanceof Linear ? [{ parent, name, child }] : [])),
  );
  const problems = stages.flatMap((stage, i) =>
    stageProblems(modules, stage).map(({ field, message }) => ({ field: `stages[${i}].${field}`, message })),
  );
  for (const { parent, name, child } of places) parent.replaceChild(name, child);
  return problems;
}

/** Pairs over weights that other layers have, too: of W + s·B·A and W in one place of the base, only one could be loaded again. */
function sharedWeights(modules: Module, pairs: ReadonlyMap<string, LoraLinear>): readonly ConfigProblem[] {
  const tables = [...modules.namedModules()].filter(([, module]) => module instanceof Embedding) as [string, Embedding][];
  return [...pairs].flatMap(([path, { weight }]) =>
    tables
      .filter(([, table]) => table.weight === weight)
      .map(([other]) => ({
        field: "lora.target_modules",
        message: `${path} has its weight from ${other} (tied): a pair there cannot be saved over this base. Leave it out, or train ${other}.`,
      })),
  );
}

function stageProblems(modules: Module, { trainable, lora, groups }: Plan): readonly ConfigProblem[] {
  let [pairs, refused]: [readonly string[], readonly ConfigProblem[]] = [[], []];
  try {
    if (lora) {
      const added = addLora(modules, lora);
      pairs = Array.from(added.keys(), (path) => `${path}.lora_*`);
      refused = sharedWeights(modules, added);
    }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    refused = error.problems.map(({ field, message }) => ({ field: `lora.${field}`, message }));
  }
  // Pairs that were refused cannot be found: whatever speaks of them names something.
  const told = (pattern: ParameterPattern): ParameterPattern => (refused.length > 0 && /lora/.test(String(pattern)) ? "*" : pattern);
  const patterns = [...trainable.map(told), ...pairs, ...(refused.length > 0 ? ["*"] : [])];
  const lost = patternProblems(modules, patterns);
  // Beside a pattern that names nothing it is not known what learns: a group is wrong then if the whole model has not got it.
  const learning = [...modules.namedParameters()].filter(
    ([path]) => lost.length > 0 || patterns.some((pattern) => patternMatches(pattern, path)),
  );
  const rates = groups.map(({ parameters }) => ({ parameters: [parameters].flat().map(told) }));
  return [
    ...refused,
    ...lost,
    ...groupProblems(rates, new Map(learning)).map(({ field, message }) => ({ field: `optimizer.${field}`, message })),
  ];
}
