import { type Assembly, assemble, compose } from "@waggle/mllm";
import { ConfigError } from "@waggle/nn";
import type { ProjectorFactory } from "@waggle/projectors";

/**
 * A published model, in a folder or by its hub id, as the base of a lab: its vision encoder, language model and prompt with
 * another projector between them, fresh from the trial's seed.
 */
export function around(id: string): (projector: ProjectorFactory, seed: number) => Promise<Assembly> {
  return async (projector, seed) => {
    const { composition } = await assemble(id);
    if (composition === null)
      throw new ConfigError("around", [{ field: id, message: "is a language model alone; expected one with a projector." }]);
    const { modules, prompt, placeholder, tokenizer, processor, tiles } = composition;
    const given = { ...(tokenizer && { tokenizer }), ...(processor && { processor }), ...(tiles && { tiles }) };
    const parts = { vision: modules.vision_tower, language: modules.language_model, prompt, placeholder, ...given };
    return compose({ ...parts, projector }).assemble(id, { initialize: ["projector"], seed });
  };
}
