/** How far a long piece of work is; the same form for everything in this package. */
export interface Progress {
  readonly phase: "download" | "convert" | "write";
  /** The file that is being made. */
  readonly file: string;
  /** Bytes done and in all, over all files of the call. */
  readonly loaded: number;
  readonly total: number;
}

export type OnProgress = (progress: Progress) => void;
