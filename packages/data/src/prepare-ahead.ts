/** Work that runs ahead of whoever uses its results: some of it at a time, its results in order. */

export interface AheadOptions<T, R> {
  /** One result per item, in the items' order. Must not reject for anything but an abort or a mistake in the program. */
  readonly prepare: (item: T, signal: AbortSignal) => Promise<R>;
  /** Items that are begun before the first unused result. */
  readonly ahead: number;
  /** Items in work at the same time. */
  readonly concurrency: number;
  readonly signal?: AbortSignal | undefined;
}

/** Begins the next items each time a result is taken; leaving the loop, an abort or an error stops what is in work. */
export async function* prepareAhead<T, R>(
  items: Iterable<T>,
  { prepare, ahead, concurrency, signal }: AheadOptions<T, R>,
): AsyncGenerator<R> {
  const stop = new AbortController();
  const both = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal;
  const source = items[Symbol.iterator]();
  const gate = new Gate(concurrency);
  const begun: Promise<{ readonly value: R } | { readonly error: unknown }>[] = [];
  const begin = (item: T): void => {
    const result = gate.pass(() => {
      both.throwIfAborted();
      return prepare(item, both);
    });
    begun.push(
      result.then(
        (value) => ({ value }),
        (error: unknown) => ({ error }), // thrown when its turn comes: a rejection that nobody awaits yet would end the process
      ),
    );
  };
  try {
    for (let more = true; ; ) {
      while (more && begun.length <= ahead) {
        const next = source.next();
        if (next.done) more = false;
        else begin(next.value);
      }
      const first = begun.shift();
      if (first === undefined) return;
      const result = await untilAborted(first, signal);
      if ("error" in result) throw result.error;
      yield result.value;
    }
  } finally {
    stop.abort(new Error("no longer needed"));
  }
}

async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  signal?.throwIfAborted();
  if (signal === undefined) return promise;
  let leave = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    leave = () => reject(signal.reason);
    signal.addEventListener("abort", leave, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}

/** Lets `width` jobs through at a time, first come, first served. */
class Gate {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(width: number) {
    this.#free = width;
  }

  async pass<R>(job: () => Promise<R>): Promise<R> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await job();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}
