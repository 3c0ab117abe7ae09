import type { ImageInput } from "@waggle/image";
import type { GenerateResult } from "./chat-stream.ts";
import type { Message } from "./message.ts";
import type { CallOptions, GenerateOptions } from "./multimodal-model.ts";

/** One prompt of a batch: a conversation, a prompt text, or a prompt text with its pictures. */
export type BatchPrompt = string | readonly Message[] | { readonly prompt: string; readonly images: readonly ImageInput[] };

/** Answers all prompts; the first that fails ends the others, and its error is thrown. */
export async function generateAll(
  prompts: readonly BatchPrompt[],
  { signal, ...options }: CallOptions,
  generate: (prompt: string | readonly Message[], options: GenerateOptions) => Promise<GenerateResult>,
): Promise<readonly GenerateResult[]> {
  const failed = new AbortController();
  const reasons = signal ? [signal, failed.signal] : [failed.signal];
  try {
    return await Promise.all(
      prompts.map((entry) => {
        const { prompt, images } = typeof entry === "object" && "prompt" in entry ? entry : { prompt: entry, images: undefined };
        // A signal for each: Node warns of more than ten listeners on one.
        return generate(prompt, { ...options, images, signal: AbortSignal.any(reasons) });
      }),
    );
  } catch (error) {
    failed.abort(error);
    throw error;
  }
}
