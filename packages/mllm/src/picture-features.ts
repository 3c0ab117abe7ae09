import { createHash } from "node:crypto";
import type { Picture } from "@waggle/image";
import type { Resident, Runtime } from "@waggle/runtime";

/** A picture whose visual tokens are there: rows `firstRow` … of the features, until it is released. */
export interface PlacedPicture {
  readonly identity: string;
  readonly firstRow: number;
  release(): void;
}

interface Entry {
  readonly identity: string;
  readonly place: number;
  uses: number;
  lastUsed: number;
}

/** Writes a picture's visual tokens into `features` from row `firstRow` on. */
export type Encode = (picture: Picture, features: Resident, firstRow: number, signal: AbortSignal | undefined) => Promise<void>;

/** Pictures whose tokens are kept though no request uses them. */
const kept = 8;

/**
 * The visual tokens of pictures, [places · tokens, width], beside the sessions that make and read them. A picture is
 * known by its pixels, so one that comes again, in the next turn or from another file, is not encoded again.
 */
export class PictureFeatures {
  readonly #runtime: Runtime;
  readonly #tokens: number;
  readonly #encode: Encode;
  readonly #entries = new Map<string, Entry>();
  #resident: Resident;
  #last: Promise<unknown> = Promise.resolve();
  #clock = 0;

  private constructor(runtime: Runtime, tokens: number, encode: Encode, resident: Resident) {
    this.#runtime = runtime;
    this.#tokens = tokens;
    this.#encode = encode;
    this.#resident = resident;
  }

  static async create(
    runtime: Runtime,
    { tokens, width, encode }: { readonly tokens: number; readonly width: number; readonly encode: Encode },
  ): Promise<PictureFeatures> {
    return new PictureFeatures(runtime, tokens, encode, await runtime.allocate("float32", [tokens, width]));
  }

  /** Where the tokens are now; it moves when more pictures need room. */
  get resident(): Resident {
    return this.#resident;
  }

  /** The picture's tokens, encoded if they are not there. Pictures are encoded one after the other, in the order of the calls. */
  place(picture: Picture, signal?: AbortSignal): Promise<PlacedPicture> {
    const turn = this.#last.then(() => this.#placeNow(picture, signal));
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #placeNow(picture: Picture, signal: AbortSignal | undefined): Promise<PlacedPicture> {
    signal?.throwIfAborted();
    const identity = identityOf(picture);
    const entry = this.#entries.get(identity) ?? (await this.#add(identity, picture, signal));
    entry.uses += 1;
    entry.lastUsed = ++this.#clock;
    const release = once(() => (entry.uses -= 1));
    return { identity, firstRow: entry.place * this.#tokens, release };
  }

  async #add(identity: string, picture: Picture, signal: AbortSignal | undefined): Promise<Entry> {
    const place = await this.#freePlace();
    await this.#encode(picture, this.#resident, place * this.#tokens, signal);
    const entry = { identity, place, uses: 0, lastUsed: 0 };
    this.#entries.set(identity, entry);
    return entry;
  }

  async #freePlace(): Promise<number> {
    const places = (this.#resident.shape[0] ?? 0) / this.#tokens;
    const taken = new Set(Array.from(this.#entries.values(), ({ place }) => place));
    for (let place = 0; place < places; place++) if (!taken.has(place)) return place;
    if (places >= kept) {
      const unused = [...this.#entries.values()].filter(({ uses }) => uses === 0);
      if (unused.length > 0) {
        const oldest = unused.reduce((a, b) => (b.lastUsed < a.lastUsed ? b : a));
        this.#entries.delete(oldest.identity);
        return oldest.place;
      }
    }
    await this.#grow(places * 2);
    return places;
  }

  async #grow(places: number): Promise<void> {
    const larger = await this.#runtime.allocate("float32", [places * this.#tokens, ...this.#resident.shape.slice(1)]);
    await this.#resident.copyInto(larger);
    const smaller = this.#resident;
    this.#resident = larger;
    smaller.dispose(); // runs that were asked for before still have it
  }
}

function identityOf({ width, height, data }: Picture): string {
  return createHash("sha256").update(`${width}x${height}:`).update(data).digest("hex");
}

function once(action: () => void): () => void {
  let done = false;
  return () => {
    if (!done) action();
    done = true;
  };
}
