/** How far a long piece of work is. The form of @waggle/checkpoint's, with one phase more. */
export interface Progress {
  readonly phase: "download" | "convert" | "write" | "load";
  /** The file that is being made or read; the graph's name while ONNX Runtime loads it. */
  readonly file: string;
  /** Bytes done and in all. */
  readonly loaded: number;
  readonly total: number;
}

export type OnProgress = (progress: Progress) => void;
