/**
 * How ONNX Runtime is told to work. Each choice is measured; the numbers are in the README.
 *
 * @param {{ folder: string | null, threads: number, device: string, prepack: boolean, arena: boolean, profileAt: string | undefined }} options
 * @returns {import("onnxruntime-node").InferenceSession.SessionOptions}
 */
export function sessionOptions({ folder, threads, device, prepack, arena, profileAt }) {
  return {
    executionProviders: device === "cpu" ? ["cpu"] : [device, "cpu"], // what the device lacks runs on the CPU
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: "all",
    // Lengths are open: the arena keeps the longest prompt's memory for ever, and patterns are recorded per length, each a
    // block of its own beside what the arena holds (1475 instead of 861 MB in training, no faster).
    enableCpuMemArena: arena,
    enableMemPattern: false,
    logSeverityLevel: 4, // errors are thrown; a library does not print
    ...(profileAt === undefined ? {} : { enableProfiling: true, profileFilePrefix: profileAt }),
    extra: {
      session: {
        // Threads wait for the next operator awake, for a moment: waking them costs more than a small operator. When
        // cores are busy with other things, each moment is taken from those that have work, ours among them; and
        // between runs from the event loop. So not longer, and not then.
        "intra_op.spin_duration_us": "20",
        force_spinning_stop: "1",
        // A packed copy of every matrix: the weights twice in memory, for nothing when one row is multiplied.
        disable_prepacking: prepack ? "0" : "1",
        ...(folder === null ? {} : { model_external_initializers_file_folder_path: folder }),
      },
    },
  };
}
