import { describe, type JsonEntry } from "./json-entry.ts";

/** Ids up to 2²⁴ − 1: sixty times the largest published vocabulary, and small enough that a wrong id cannot exhaust memory. */
export const MAX_ID = 0xffffff;

/** Tokens and their ids, both ways. */
export class Vocabulary {
  readonly #ids = new Map<string, number>();
  readonly #tokens: (string | undefined)[] = [];

  get size(): number {
    return this.#ids.size;
  }

  id(token: string): number | undefined {
    return this.#ids.get(token);
  }

  token(id: number): string | undefined {
    return this.#tokens[id];
  }

  tokens(): IterableIterator<[string, number]> {
    return this.#ids.entries();
  }

  /** Says what is wrong instead of adding, if the token or its id is taken by another. */
  add(token: string, id: number): string | null {
    const sameToken = this.#ids.get(token);
    if (sameToken !== undefined && sameToken !== id) return `token ${describe(token)} has the ids ${sameToken} and ${id}`;
    const sameId = this.#tokens[id];
    if (sameId !== undefined && sameId !== token) return `id ${id} belongs to ${describe(sameId)} and ${describe(token)}`;
    this.#ids.set(token, id);
    this.#tokens[id] = token;
    return null;
  }

  /** From the form `{ "token": id }`. */
  static parse(entry: JsonEntry): Vocabulary {
    const vocabulary = new Vocabulary();
    for (const [token, id] of Object.entries(entry.object())) {
      if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id > MAX_ID) {
        throw entry.at(token).error(`expected a token id from 0 to ${MAX_ID}, got ${describe(id)}`);
      }
      const problem = vocabulary.add(token, id);
      if (problem !== null) throw entry.at(token).error(problem, "invalid_reference");
    }
    return vocabulary;
  }
}
