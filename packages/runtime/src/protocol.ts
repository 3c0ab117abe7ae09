/**
 * What the runtime asks of the executor, in plain data that may cross into another thread.
 *
 * Ids are chosen by the side that asks. So a call that was given up can be followed by a `release` of whatever it may
 * have made: requests are served strictly in order, and nothing is left behind.
 */
import type { Tensor } from "onnxruntime-common";

/** Element types that a tensor may have here; onnxruntime-node has no bfloat16, and strings do not cross. */
export type TensorType = Exclude<Tensor.Type, "string" | "int4" | "uint4">;
export type TensorData = Tensor.DataTypeMap[TensorType];

export interface PlainTensor {
  readonly type: TensorType;
  readonly dims: readonly number[];
  readonly data: TensorData;
}

/** Rows `first` … `first + rows` of a resident tensor, along axis 0. */
export interface RowsOf {
  readonly resident: number;
  readonly first: number;
  readonly rows: number;
}

/** Copies the first `rows[b]` entries along `axis` of batch row `b` to position `offset[b]` of the same row of `into`. */
export interface PlainWrite {
  readonly into: RowsOf;
  readonly axis: number;
  readonly offset: readonly number[];
  readonly rows: readonly number[] | null;
}

export interface CompileRequest {
  readonly session: number;
  readonly name: string;
  readonly model: Uint8Array;
  /** The folder that external data is named from. */
  readonly folder: string | null;
  readonly threads: number;
  readonly device: string;
  readonly prepack: boolean;
  readonly arena: boolean;
  readonly profile: boolean;
}

export interface RunRequest {
  readonly session: number;
  readonly feeds: Readonly<Record<string, PlainTensor | RowsOf>>;
  readonly fetch: readonly string[];
  /** Output name → id of the resident tensor that it becomes. */
  readonly keep: Readonly<Record<string, number>>;
  readonly write: readonly (PlainWrite & { readonly output: string })[];
}

export interface KernelRequest {
  /** A module of plain JavaScript, by its URL. */
  readonly module: string;
  readonly name: string;
  readonly tensors: Readonly<Record<string, readonly RowsOf[]>>;
  readonly options: unknown;
}

export interface RunReply {
  readonly outputs: Readonly<Record<string, PlainTensor>>;
  readonly kept: Readonly<Record<string, { readonly type: TensorType; readonly dims: readonly number[] }>>;
}

/** Time spent in one operator, over all runs since the session was compiled. */
export interface OperatorProfile {
  readonly operator: string;
  /** "CPUExecutionProvider", "WebGpuExecutionProvider", … */
  readonly provider: string;
  readonly calls: number;
  readonly milliseconds: number;
  /** Of the time spent in all operators, 0 … 1. */
  readonly share: number;
}

/** Every request by name; the executor has one method for each. */
export interface Requests {
  compile(request: CompileRequest): Promise<null>;
  run(request: RunRequest): Promise<RunReply>;
  profile(request: { readonly session: number }): Promise<readonly OperatorProfile[]>;
  allocate(request: { readonly resident: number; readonly type: TensorType; readonly dims: readonly number[] }): Promise<null>;
  read(request: RowsOf): Promise<PlainTensor>;
  write(request: PlainWrite & { readonly tensor: PlainTensor }): Promise<null>;
  /** Row `i` of `into` becomes row `rows[i]` of `from`. */
  copy(request: {
    readonly from: number;
    readonly into: number;
    readonly rows: readonly number[];
    readonly part: { readonly axis: number; readonly start: number; readonly count: number } | null;
  }): Promise<null>;
  /** Calls a function of a module with resident tensors. */
  kernel(request: KernelRequest): Promise<{ readonly result: unknown }>;
  release(request: { readonly sessions: readonly number[]; readonly residents: readonly number[] }): Promise<null>;
  close(): Promise<null>;
}

export type RequestName = keyof Requests;
export type RequestOf<Name extends RequestName> = Parameters<Requests[Name]>[0];
export type ReplyOf<Name extends RequestName> = Awaited<ReturnType<Requests[Name]>>;

export interface Job<Name extends RequestName = RequestName> {
  readonly id: number;
  readonly name: Name;
  readonly request: RequestOf<Name>;
}

export type JobMessage = Job | { readonly cancel: number };

export type Answer =
  | { readonly id: number; readonly reply: unknown }
  | {
      readonly id: number;
      readonly error: { readonly code: string; readonly message: string; readonly details: Readonly<Record<string, unknown>> };
    };

/** Called with every answer, and with the buffers that may change hands instead of being copied. */
export type Respond = (answer: Answer, transfer: readonly ArrayBuffer[]) => void;

export interface JobQueue {
  accept(message: JobMessage): void;
}

/** The worker's modules are plain JavaScript; this is what `worker/executor.mjs` and `worker/job-queue.mjs` export. */
export interface ExecutorModule {
  readonly createQueue: (respond: Respond, receive: () => JobMessage | undefined) => JobQueue;
}
