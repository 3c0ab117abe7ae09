import { randomUUID } from "node:crypto";
import { access, readFile, rm, writeFile } from "node:fs/promises";
import { basename, dirname, extname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { mini } from "@waggle/mini";
import type { Recipe } from "@waggle/train";

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

/**
 * Node 20 does not read TypeScript. Its types are taken out by the program that later releases of Node have inside, into a
 * module beside the file, where its imports find what they name.
 */
async function importModule(path: string): Promise<unknown> {
  try {
    return await import(pathToFileURL(path).href);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_UNKNOWN_FILE_EXTENSION" || !/\.[cm]?ts$/.test(path)) throw error;
  }
  const { transformSync } = await import("amaro");
  const { code } = transformSync(await readFile(path, "utf8"), { mode: "strip-only" });
  const stripped = join(dirname(path), `.${basename(path)}.${randomUUID().slice(0, 8)}.mjs`);
  try {
    await writeFile(stripped, code, { flag: "wx" });
    return await import(pathToFileURL(stripped).href);
  } finally {
    await rm(stripped, { force: true });
  }
}
