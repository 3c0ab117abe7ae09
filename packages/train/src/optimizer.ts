/** Optimisers as values: what is done to a parameter, and with which rate and decay to which. The work is worker/optimizer.mjs. */
import { inspect } from "node:util";
import { ConfigError, type ConfigProblem, checkOptions, LayerNorm, type Module, type Parameter, RMSNorm } from "@waggle/nn";
import { type ParameterPattern, patternMatches } from "./select.ts";

/** Parameters that differ from the rest; of several groups that name one, the first counts. */
export interface ParameterGroup {
  readonly parameters: ParameterPattern | readonly ParameterPattern[];
  readonly lr?: number;
  readonly weight_decay?: number;
}

interface Common {
  readonly lr: number;
  readonly groups?: readonly ParameterGroup[];
  /** Whether norms' weights and biases decay too. Default false, as in transformers' Trainer; torch's own default is true. */
  readonly decayNormsAndBiases?: boolean;
}

export interface AdamWOptions extends Common {
  /** Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Default 1e-8. */
  readonly eps?: number;
  /** Default 0.01. */
  readonly weight_decay?: number;
}

export interface SgdOptions extends Common {
  /** Default 0. */
  readonly momentum?: number;
  /** Default false. */
  readonly nesterov?: boolean;
  /** Default 0. */
  readonly weight_decay?: number;
}

/** What a parameter's step is scaled by. */
export interface Rate {
  readonly lr: number;
  readonly weight_decay: number;
}

export interface Optimizer {
  /** The kernel's name. */
  readonly kernel: "adamW" | "sgd";
  /** The tensors that it keeps for each parameter, named as in torch's state_dict. */
  readonly state: readonly string[];
  readonly settings: Readonly<Record<string, unknown>>;
  readonly lr: number;
  readonly weight_decay: number;
  readonly groups: readonly ParameterGroup[];
  readonly decayNormsAndBiases: boolean;
}

/** torch.optim.AdamW: Adam with decay that does not pass through the gradient. */
export function adamW(options: AdamWOptions): Optimizer {
  checkOptions("adamW", options, ["lr", "betas", "eps", "weight_decay", "groups", "decayNormsAndBiases"]);
  const { betas = [0.9, 0.999], eps = 1e-8, weight_decay = 0.01 } = options;
  const problems = commonProblems(options, weight_decay);
  const [first, second, ...more] = betas as readonly number[];
  if (more.length > 0) problems.push({ field: "betas", message: `expected two numbers, got ${betas.length}.` });
  [first, second].forEach((beta, i) => {
    if (!(Number(beta) >= 0 && Number(beta) < 1))
      problems.push({ field: `betas[${i}]`, message: `expected a number in [0, 1), got ${beta}.` });
  });
  if (!(eps >= 0)) problems.push({ field: "eps", message: `expected a number ≥ 0, got ${eps}.` });
  if (problems.length > 0) throw new ConfigError("adamW", problems);
  return optimizer("adamW", ["exp_avg", "exp_avg_sq"], { betas, eps }, options, weight_decay);
}

/** torch.optim.SGD. */
export function sgd(options: SgdOptions): Optimizer {
  checkOptions("sgd", options, ["lr", "momentum", "nesterov", "weight_decay", "groups", "decayNormsAndBiases"]);
  const { momentum = 0, nesterov = false, weight_decay = 0 } = options;
  const problems = commonProblems(options, weight_decay);
  if (!(momentum >= 0)) problems.push({ field: "momentum", message: `expected a number ≥ 0, got ${momentum}.` });
  if (nesterov && momentum === 0) problems.push({ field: "nesterov", message: "needs a momentum above 0." });
  if (problems.length > 0) throw new ConfigError("sgd", problems);
  return optimizer("sgd", momentum > 0 ? ["momentum_buffer"] : [], { momentum, nesterov }, options, weight_decay);
}

function optimizer(
  kernel: Optimizer["kernel"],
  state: readonly string[],
  settings: Optimizer["settings"],
  { lr, groups = [], decayNormsAndBiases = false }: Common,
  weight_decay: number,
): Optimizer {
  return { kernel, state, settings, lr, weight_decay, groups, decayNormsAndBiases };
}

function commonProblems({ lr, groups = [] }: Common, weight_decay: number): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const check = (field: string, value: number | undefined): void => {
    if (value === undefined || (Number.isFinite(value) && value >= 0)) return;
    problems.push({ field, message: `expected a finite number ≥ 0, got ${inspect(value)}.` });
  };
  check("lr", lr);
  check("weight_decay", weight_decay);
  groups.forEach((group, i) => {
    if (group.parameters === undefined)
      problems.push({ field: `groups[${i}].parameters`, message: "expected a pattern or a list of them." });
    check(`groups[${i}].lr`, group.lr);
    check(`groups[${i}].weight_decay`, group.weight_decay);
    for (const key of Object.keys(group))
      if (!["parameters", "lr", "weight_decay"].includes(key))
        problems.push({ field: `groups[${i}].${key}`, message: "is not known. Known: parameters, lr, weight_decay." });
  });
  return problems;
}

/** Rate and decay of each parameter, in the order of the map. A group that names none of them is an error. */
export function ratesOf(optimizer: Optimizer, root: Module, trainable: ReadonlyMap<string, Parameter>): readonly Rate[] {
  const undecayed = optimizer.decayNormsAndBiases ? new Set<Parameter>() : normsAndBiases(root);
  const problems = groupProblems(optimizer.groups, trainable);
  if (problems.length > 0) throw new ConfigError("optimizer", problems);
  return Array.from(trainable, ([path, parameter]) => {
    const group = optimizer.groups.find(({ parameters }) => names(parameters, path));
    const decay = group?.weight_decay ?? (undecayed.has(parameter) ? 0 : optimizer.weight_decay);
    return { lr: group?.lr ?? optimizer.lr, weight_decay: decay };
  });
}

/** Groups that name no parameter. */
export function groupProblems(
  groups: readonly Pick<ParameterGroup, "parameters">[],
  trainable: ReadonlyMap<string, unknown>,
): readonly ConfigProblem[] {
  return groups.flatMap(({ parameters }, i) =>
    [...trainable.keys()].some((path) => names(parameters, path))
      ? []
      : [{ field: `groups[${i}].parameters`, message: `${parameters} names none of the ${trainable.size} trainable parameters.` }],
  );
}

function names(patterns: ParameterGroup["parameters"], path: string): boolean {
  return [patterns].flat().some((pattern) => patternMatches(pattern, path));
}

function normsAndBiases(root: Module): ReadonlySet<Parameter> {
  const found = new Set<Parameter>();
  for (const [path, parameter] of root.parameterPaths()) if (/(^|\.)bias$/.test(path)) found.add(parameter);
  for (const [, module] of root.namedModules()) if (module instanceof LayerNorm || module instanceof RMSNorm) found.add(module.weight);
  return found;
}
