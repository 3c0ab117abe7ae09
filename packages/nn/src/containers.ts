/**
 * Modules that hold modules: by number (`layers.0.…`), by name (`{ proj }`), and one after the other (`net.0`, `net.2`).
 */
import { recompute, type Value } from "@waggle/graph";
import { type Child, Module } from "./module.ts";

/** Modules under the keys 0, 1, 2, … */
export class ModuleList<M extends Module> extends Module implements Iterable<M> {
  readonly #modules: M[];
  #recompute = false;

  constructor(modules: Iterable<M>) {
    super();
    this.#modules = [...modules];
  }

  get length(): number {
    return this.#modules.length;
  }

  at(index: number): M | undefined {
    return this.#modules.at(index);
  }

  [Symbol.iterator](): IterableIterator<M> {
    return this.#modules[Symbol.iterator]();
  }

  /** What one of the modules makes of x; see {@link setRecompute}. */
  block(x: Value, forward: (x: Value) => Value): Value {
    return this.#recompute ? recompute([x], forward) : forward(x);
  }

  recomputeBlocks(on: boolean): void {
    this.#recompute = on;
  }

  override *namedChildren(): IterableIterator<[string, Child]> {
    for (const [index, module] of this.#modules.entries()) yield [String(index), module];
  }

  override replaceChild(name: string, child: Child): void {
    this.#modules[Number(name)] = child as M;
  }
}

/**
 * Whether gradients of graphs that are written from now on keep what is inside a layer (as a module begins) or compute
 * it a second time: one more forward pass, in much less memory. The layers of every {@link ModuleList} below the root
 * are the blocks, where its owner runs them through `block`.
 */
export function setRecompute(root: Module, on: boolean): void {
  for (const [, module] of root.namedModules()) if (module instanceof ModuleList) module.recomputeBlocks(on);
}

/** Modules by name: `new ModuleDict({ proj }).proj`. */
export type ModuleDict<T extends Readonly<Record<string, Module>>> = Module & Readonly<T>;

class NamedModules extends Module {
  constructor(modules: Readonly<Record<string, Module>>) {
    super();
    Object.assign(this, modules);
  }
}

export const ModuleDict: new <T extends Readonly<Record<string, Module>>>(modules: T) => ModuleDict<T> = NamedModules as never;

/** A module that maps one value to one value. */
export interface Layer extends Module {
  forward(x: Value): Value;
}

type Step = Layer | ((x: Value) => Value);

/** Layers and plain functions one after the other; each takes up an index, as in PyTorch's `Sequential`. */
export class Sequential extends Module {
  readonly #steps: Step[];

  constructor(...steps: readonly Step[]) {
    super();
    this.#steps = [...steps];
  }

  override *namedChildren(): IterableIterator<[string, Child]> {
    for (const [index, step] of this.#steps.entries()) if (step instanceof Module) yield [String(index), step];
  }

  override replaceChild(name: string, child: Child): void {
    this.#steps[Number(name)] = child as Layer;
  }

  forward(x: Value): Value {
    return this.#steps.reduce((value, step) => (typeof step === "function" ? step(value) : step.forward(value)), x);
  }
}
