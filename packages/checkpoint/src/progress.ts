/** `cached`: the hub cannot be reached, and the snapshot that the cache holds is used. */
export type Phase = "download" | "cached" | "convert" | "write";

/** How far a long piece of work is; the same form for everything in this package. */
export interface Progress<Of extends Phase = Phase> {
  readonly phase: Of;
  /** The file that is being made. */
  readonly file: string;
  /** Bytes done and in all, over all files of the call. */
  readonly loaded: number;
  readonly total: number;
}

export type OnProgress<Of extends Phase = Phase> = (progress: Progress<Of>) => void;
