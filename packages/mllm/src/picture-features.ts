import { createHash } from "node:crypto";
import type { Picture } from "@waggle/image";
import type { Resident, Runtime } from "@waggle/runtime";

/** A picture whose visual tokens are there: `rows` rows of the features from `firstRow` on, until it is released. */
export interface PlacedPicture {
  readonly identity: string;
  readonly firstRow: number;
  readonly rows: number;
  release(): void;
}

interface Entry {
  readonly identity: string;
  readonly firstRow: number;
  readonly rows: number;
  uses: number;
  lastUsed: number;
}

/** Writes a picture's visual tokens into `features` from row `firstRow` on. `variant`: with which weights, 0 for the model's own. */
export type Encode = (
  picture: Picture,
  features: Resident,
  firstRow: number,
  signal: AbortSignal | undefined,
  variant: number,
) => Promise<void>;

export interface PictureEncoder {
  /** How many visual tokens a picture has. */
  tokens(picture: Picture): number;
  readonly width: number;
  readonly encode: Encode;
}

/** Pictures whose tokens are kept though no request uses them, if all are as large as the largest. */
const kept = 8;

/**
 * The visual tokens of pictures, [rows, width], beside the sessions that make and read them. A picture is known by its
 * pixels, so one that comes again, in the next turn or from another file, is not encoded again.
 */
export class PictureFeatures {
  readonly #runtime: Runtime;
  readonly #encoder: PictureEncoder;
  readonly #entries = new Map<string, Entry>();
  #resident: Resident;
  #capacity = 0;
  #largest = 0;
  #last: Promise<unknown> = Promise.resolve();
  #clock = 0;

  private constructor(runtime: Runtime, encoder: PictureEncoder, resident: Resident) {
    this.#runtime = runtime;
    this.#encoder = encoder;
    this.#resident = resident;
  }

  static async create(runtime: Runtime, encoder: PictureEncoder): Promise<PictureFeatures> {
    return new PictureFeatures(runtime, encoder, await runtime.allocate("float32", [1, encoder.width]));
  }

  /** Where the tokens are now; it moves when more pictures need room. */
  get resident(): Resident {
    return this.#resident;
  }

  /** The picture's tokens, encoded if they are not there. Pictures are encoded one after the other, in the order of the calls. */
  place(picture: Picture, signal?: AbortSignal, variant = 0): Promise<PlacedPicture> {
    const turn = this.#last.then(() => this.#placeNow(picture, signal, variant));
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #placeNow(picture: Picture, signal: AbortSignal | undefined, variant: number): Promise<PlacedPicture> {
    signal?.throwIfAborted();
    const identity = `${identityOf(picture)}${variant === 0 ? "" : ` ${variant}`}`;
    const entry = this.#entries.get(identity) ?? (await this.#add(identity, picture, signal, variant));
    entry.uses += 1;
    entry.lastUsed = ++this.#clock;
    const { firstRow, rows } = entry;
    return { identity, firstRow, rows, release: once(() => (entry.uses -= 1)) };
  }

  async #add(identity: string, picture: Picture, signal: AbortSignal | undefined, variant: number): Promise<Entry> {
    const rows = this.#encoder.tokens(picture);
    const firstRow = await this.#freeRows(rows);
    await this.#encoder.encode(picture, this.#resident, firstRow, signal, variant);
    const entry = { identity, firstRow, rows, uses: 0, lastUsed: 0 };
    this.#entries.set(identity, entry);
    return entry;
  }

  async #freeRows(rows: number): Promise<number> {
    this.#largest = Math.max(this.#largest, rows);
    for (;;) {
      const firstRow = this.#gap(rows);
      if (firstRow !== undefined) return firstRow;
      const oldest = this.#capacity < kept * this.#largest ? undefined : this.#unusedForLongest();
      if (oldest) this.#entries.delete(oldest.identity);
      else await this.#grow(Math.max(2 * this.#capacity, this.#capacity + rows));
    }
  }

  /** The first gap between the pictures that takes so many rows. */
  #gap(rows: number): number | undefined {
    let free = 0;
    for (const entry of [...this.#entries.values()].sort((a, b) => a.firstRow - b.firstRow)) {
      if (entry.firstRow - free >= rows) return free;
      free = entry.firstRow + entry.rows;
    }
    return this.#capacity - free >= rows ? free : undefined;
  }

  #unusedForLongest(): Entry | undefined {
    const unused = [...this.#entries.values()].filter(({ uses }) => uses === 0);
    return unused.length === 0 ? undefined : unused.reduce((a, b) => (b.lastUsed < a.lastUsed ? b : a));
  }

  async #grow(capacity: number): Promise<void> {
    const larger = await this.#runtime.allocate("float32", [capacity, this.#encoder.width]);
    await this.#resident.copyInto(larger);
    const smaller = this.#resident;
    this.#resident = larger;
    this.#capacity = capacity;
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
