import { register } from "node:module";
import { pathToFileURL } from "node:url";

let registered = false;

/**
 * Imports a file of the user's. Node 20 does not read TypeScript: then the types of it, and of the files that it imports,
 * are taken out by the program that later releases of Node have inside.
 */
export async function importModule(path: string): Promise<unknown> {
  const { href } = pathToFileURL(path);
  try {
    return await import(href);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_UNKNOWN_FILE_EXTENSION") throw error;
  }
  if (!registered) register(new URL("../worker/strip-types.mjs", import.meta.url));
  registered = true;
  return import(`${href}?stripped`); // Node remembers that the other address failed
}
