import { join, Module } from "./module.ts";

/**
 * Puts other modules in the place of some: `replace` gets every module below the root with its path and returns the one
 * that shall stand there (the same one: nothing happens). What it returns is not looked into again. The new module must
 * be of the same kind: whoever holds a `Linear` gets a subclass of `Linear`.
 */
export function replaceModules(root: Module, replace: (path: string, module: Module) => Module, prefix = ""): void {
  for (const [name, child] of [...root.namedChildren()]) {
    if (!(child instanceof Module)) continue;
    const path = join(prefix, name);
    const replacement = replace(path, child);
    if (replacement === child) replaceModules(child, replace, path);
    else if (replacement instanceof child.constructor) root.replaceChild(name, replacement);
    else throw new TypeError(misfit(path, child, replacement));
  }
}

function misfit(path: string, old: Module, replacement: Module): string {
  return `replaceModules: ${path} is a ${old.constructor.name}; a ${replacement.constructor.name} does not extend it and cannot stand in its place.`;
}
