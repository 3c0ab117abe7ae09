/**
 * How a model's own prompt turns a conversation into ids and targets: the ids are those that the running model sees, and
 * every answer, with what ends it, is a target. A first turn of the assistant's is left out.
 */
import { type EncodedSample, IGNORE, IMAGE, type Sample, type SampleEncoder } from "@waggle/data";
import { type Assembly, type Message, PromptEncoder } from "@waggle/mllm";
import { ConfigError } from "@waggle/nn";
import { countPlaceholders } from "@waggle/text";

/** The family's own way, or the prompt's. */
export function defaultEncoder({ tokenizer, template, sight }: Assembly): SampleEncoder {
  if (sight?.dialect?.encoder) return sight.dialect.encoder;
  if (template === null) {
    const message = "the model has no prompt template, so nobody knows where answers stand. Load it with `prompt`, or name an encoder.";
    throw new ConfigError("conversations", [{ field: "encoder", message }]);
  }
  const prompt = new PromptEncoder(tokenizer, template, sight);
  const { eos } = tokenizer.special;
  const encode = ({ conversations }: Sample, pictureTokens: readonly number[]): EncodedSample => {
    const turns = conversations[0]?.from === "gpt" ? conversations.slice(1) : conversations;
    const messages = turns.map(({ from, value }): Message => ({ role: from === "human" ? "user" : "assistant", content: value }));
    /** Ids of the first `count` turns, ready for an answer or closed. */
    const idsOf = (count: number, addGenerationPrompt: boolean): readonly number[] => {
      const said = messages.slice(0, count);
      const pictures = turns.slice(0, count).reduce((sum, { value }) => sum + countPlaceholders(value), 0);
      return prompt.ids(template.render(said, { addGenerationPrompt }), pictureTokens.slice(0, pictures), true);
    };
    const whole = [...idsOf(messages.length, false)];
    if (eos !== undefined && whole.at(-1) !== eos && messages.at(-1)?.role === "assistant") whole.push(eos);
    const labels = whole.map(() => IGNORE);
    for (const [turn, { role }] of messages.entries()) {
      if (role !== "assistant") continue;
      const end = turn === messages.length - 1 ? whole.length : commonLength(whole, idsOf(turn + 1, false));
      for (let t = commonLength(whole, idsOf(turn, true)); t < end; t++) labels[t] = whole[t] ?? IGNORE;
    }
    const picture = pictureTokens.length > 0 ? sight?.tokenId : undefined;
    return { input_ids: whole.map((id) => (id === picture ? IMAGE : id)), labels };
  };
  return { encode };
}

function commonLength(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < b.length && a[length] === b[length]) length++;
  return length;
}
