/** Requests to an executor as promises: who waits for which answer, and what becomes of them on abort, crash and dispose. */
import { setMaxListeners } from "node:events";
import type { Answer, JobMessage, ReplyOf, RequestName, RequestOf } from "./protocol.ts";
import { RuntimeError, type RuntimeErrorCode } from "./runtime-error.ts";
import type { Transport, TransportFactory } from "./transport.ts";

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  /** Buffers that change hands instead of being copied. */
  readonly transfer?: readonly ArrayBuffer[];
}

interface Waiting {
  resolve(reply: unknown): void;
  reject(reason: unknown): void;
}

export class Channel {
  /** Whether tensors are handed over, so that a caller's own have to be copied first. */
  readonly copies: boolean;
  readonly #connect: TransportFactory;
  #transport: Transport | null = null;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  /** Why nothing can be asked any more. */
  #ended: RuntimeError | null = null;

  constructor(connect: TransportFactory, copies: boolean) {
    this.copies = copies;
    this.#connect = connect;
  }

  /** A number that no session or resident tensor of this channel has. */
  newId(): number {
    return ++this.#lastId;
  }

  throwIfEnded(): void {
    if (this.#ended) throw this.#ended;
  }

  async call<Name extends RequestName>(name: Name, request: RequestOf<Name>, options: CallOptions = {}): Promise<ReplyOf<Name>> {
    const { signal, transfer = [] } = options;
    this.throwIfEnded();
    signal?.throwIfAborted();
    const id = this.newId();
    const reply = new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    const abort = (): void => {
      this.#post({ cancel: id }); // if it has begun it runs to its end, and its answer finds nobody
      this.#settle(id)?.reject(signal?.reason);
    };
    if (signal) setMaxListeners(0, signal); // many requests may wait for one signal, and each takes its listener away again
    signal?.addEventListener("abort", abort, { once: true });
    try {
      this.#post({ id, name, request }, transfer);
      return (await reply) as ReplyOf<Name>;
    } catch (error) {
      this.#settle(id); // a message that could not be sent has no answer
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Frees what was made under these ids, after everything that was asked before. Nobody has to wait for it. */
  async release(what: { readonly sessions?: readonly number[]; readonly residents?: readonly number[] }): Promise<void> {
    if (this.#ended) return; // and with it everything it held
    await this.call("release", { sessions: [], residents: [], ...what }).catch(() => {});
  }

  /**
   * What is going on is finished unseen; then the thread ends. Resolves when all is freed. The process waits for that:
   * ONNX Runtime aborts it when a thread is taken away in the middle of a run.
   */
  async dispose(): Promise<void> {
    if (this.#ended) return;
    for (const id of this.#waiting.keys()) this.#post({ cancel: id });
    const transport = this.#transport;
    const closed = transport ? this.call("close", undefined).catch(() => {}) : undefined;
    this.#end(new RuntimeError("disposed", "The runtime is disposed."), this.#lastId);
    await closed;
    transport?.end();
  }

  #post(message: JobMessage, transfer: readonly ArrayBuffer[] = []): void {
    this.#transport ??= this.#connect({
      answered: (answer) => this.#answered(answer),
      crashed: (reason) => this.#crashed(reason),
    });
    this.#transport.post(message, transfer);
    this.#transport.keepAlive(this.#waiting.size > 0);
  }

  #answered(answer: Answer): void {
    const waiting = this.#settle(answer.id);
    if (!waiting) return; // given up meanwhile
    if ("reply" in answer) waiting.resolve(answer.reply);
    else waiting.reject(new RuntimeError(answer.error.code as RuntimeErrorCode, answer.error.message, answer.error.details));
  }

  #crashed(reason: unknown): void {
    this.#end(this.#ended ?? crash(reason)); // it may have died of closing
  }

  #end(error: RuntimeError, closing?: number): void {
    this.#ended = error;
    for (const id of [...this.#waiting.keys()]) if (id !== closing) this.#settle(id)?.reject(error);
  }

  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (waiting && this.#waiting.size === 0) this.#transport?.keepAlive(false);
    return waiting;
  }
}

function crash(reason: unknown): RuntimeError {
  const why = reason instanceof Error ? reason.message : String(reason);
  const message = `The runtime's worker thread ended unexpectedly: ${why}. Everything it held is lost: make a new Runtime.`;
  return new RuntimeError("crashed", message, {}, { cause: reason });
}
