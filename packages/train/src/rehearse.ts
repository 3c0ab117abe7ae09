/** A run's stages gone through without training: a pattern of the last one that names nothing is known before the first begins. */
import { addLora, ConfigError, type ConfigProblem, Linear, type Module } from "@waggle/nn";
import { ratesOf } from "./optimizer.ts";
import { selectParameters } from "./select.ts";
import type { Stage } from "./stage.ts";

/** @throws ConfigError with what is wrong in any of the stages; the modules are afterwards as they were */
export function rehearse(modules: Module, stages: readonly Stage[]): void {
  const places = [...modules.namedModules()].flatMap(([, parent]) =>
    [...parent.namedChildren()].flatMap(([name, child]) => (child instanceof Linear ? [{ parent, name, child }] : [])),
  );
  const problems: ConfigProblem[] = [];
  for (const [i, { name, trainable, lora, optimizer }] of stages.entries()) {
    try {
      const pairs = lora ? [...addLora(modules, lora).keys()].map((path) => `${path}.lora_*`) : [];
      ratesOf(optimizer, modules, selectParameters(modules, [...trainable, ...pairs], name));
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push(...error.problems.map(({ field, message }) => ({ field: `stages[${i}] ${name}: ${field}`, message })));
    }
  }
  for (const { parent, name, child } of places) parent.replaceChild(name, child);
  if (problems.length > 0) throw new ConfigError("train", problems);
}
