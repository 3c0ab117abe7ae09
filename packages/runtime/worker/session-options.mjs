/**
 * How ONNX Runtime is told to work. Each choice is measured; the numbers are in the README.
 *
 * @param {{ folder: string | null, threads: number, device: string, prepack: boolean, profileAt: string | undefined }} options
 * @returns {import("onnxruntime-node").InferenceSession.SessionOptions}
 */
export function sessionOptions({ folder, threads, device, prepack, profileAt }) {
  return {
    executionProviders: device === "cpu" ? ["cpu"] : [device, "cpu"], // what the device lacks runs on the CPU
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    graphOptimizationLevel: "all",
    // Lengths are open: the arena keeps the longest prompt's memory for ever, and patterns are recorded per length.
    enableCpuMemArena: false,
    enableMemPattern: false,
    logSeverityLevel: 4, // errors are thrown; a library does not print
    ...(profileAt === undefined ? {} : { enableProfiling: true, profileFilePrefix: profileAt }),
    extra: {
      session: {
        // Threads spin between the operators of a run, where waking them would cost more than the operator, and
        // sleep between runs, where spinning would starve the event loop.
        force_spinning_stop: "1",
        // A packed copy of every matrix: the weights twice in memory, for nothing when one row is multiplied.
        disable_prepacking: prepack ? "0" : "1",
        ...(folder === null ? {} : { model_external_initializers_file_folder_path: folder }),
      },
    },
  };
}
