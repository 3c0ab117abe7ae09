/** How far a long piece of work is; the same form for everything in this package. */
export interface Progress {
  /** `cached`: the hub cannot be reached, and the snapshot that the cache holds is used. */
  readonly phase: "download" | "cached" | "convert" | "write";
  /** The file that is being made. */
  readonly file: string;
  /** Bytes done and in all, over all files of the call. */
  readonly loaded: number;
  readonly total: number;
}

export type OnProgress = (progress: Progress) => void;
