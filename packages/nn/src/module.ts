import { Parameter } from "./parameter.ts";

/** What can be wrong with a key: the file has not got it, only the file has it, another shape, or twice. */
export type KeyTrouble = "missing" | "unexpected" | "mismatch" | "ambiguous";

/** What a child of a module can be; other properties are configuration and not looked at. */
export type Child = Module | Parameter;

/**
 * A part of a model: a class whose property names are the checkpoint's key names, so that a state_dict key is a
 * property path. Children are found among the own properties in the order in which they were assigned; a property
 * that is `#private` is nobody's child.
 */
export abstract class Module {
  /** The direct children with their names. Containers override it to choose the names. */
  *namedChildren(): IterableIterator<[string, Child]> {
    for (const [name, value] of Object.entries(this)) {
      if (value instanceof Module || value instanceof Parameter) yield [name, value];
    }
  }

  /** Puts another child in the place of one. */
  replaceChild(name: string, child: Child): void {
    if (!Object.hasOwn(this, name)) throw new TypeError(`${this.constructor.name} keeps ${name} where it cannot be replaced.`);
    Object.assign(this, { [name]: child });
  }

  /** This module and all below it, with their paths; parents first. */
  *namedModules(prefix = ""): IterableIterator<[string, Module]> {
    yield [prefix, this];
    for (const [name, child] of this.namedChildren()) {
      if (child instanceof Module) yield* child.namedModules(join(prefix, name));
    }
  }

  /** Every path that leads to a parameter. A shared one (tied embeddings) appears under each of its paths. */
  *parameterPaths(prefix = ""): IterableIterator<[string, Parameter]> {
    for (const [name, child] of this.namedChildren()) {
      const path = join(prefix, name);
      if (child instanceof Module) yield* child.parameterPaths(path);
      else yield [path, child];
    }
  }

  /** Every parameter once, under the first path that leads to it. */
  *namedParameters(prefix = ""): IterableIterator<[string, Parameter]> {
    const seen = new Set<Parameter>();
    for (const [path, parameter] of this.parameterPaths(prefix)) {
      if (seen.has(parameter)) continue;
      seen.add(parameter);
      yield [path, parameter];
    }
  }

  /** Numbers in all parameters, shared ones counted once. */
  parameterCount(): number {
    let count = 0;
    for (const [, { shape }] of this.namedParameters()) count += shape.reduce((product, size) => product * size, 1);
    return count;
  }

  /** Keys below this module that published files hold and this module has no use for. Loading passes over them. */
  get ignoredKeys(): readonly RegExp[] {
    return [];
  }

  /** What to do about a key (relative to this module) that does not fit; an error says it. */
  cureFor(_key: string, _trouble: KeyTrouble): string | undefined {
    return undefined;
  }
}

export function join(prefix: string, name: string): string {
  return prefix === "" ? name : `${prefix}.${name}`;
}
