import { access } from "node:fs/promises";
import { extname, resolve } from "node:path";
import { mini } from "@waggle/mini";
import type { Recipe } from "@waggle/train";
import { importModule } from "./import-module.ts";

/** A recipe from a JSON file, or from a module's default export. Paths in JSON are relative to the file. */
export async function openRecipe(file: string): Promise<Recipe> {
  const path = resolve(file);
  await access(path).catch(() => {
    throw new Error(`${file}: there is no such recipe.`);
  });
  if (extname(path) === ".json") {
    const { readRecipe } = await import("@waggle/train");
    return readRecipe(path, { mini });
  }
  const { default: recipe } = (await importModule(path)) as { readonly default?: unknown };
  if (isRecipe(recipe)) return recipe;
  throw new Error(
    `${file}: expected a default export { model, stages }, a Recipe of @waggle/train, got ${recipe === undefined ? "none" : typeof recipe}.`,
  );
}

function isRecipe(value: unknown): value is Recipe {
  if (typeof value !== "object" || value === null) return false;
  const { model, stages } = value as Partial<Recipe>;
  return typeof model === "function" && (typeof stages === "function" || Array.isArray(stages));
}
