import type { SampleEncoder } from "@waggle/data";
import { type GenerationOptions, type PromptSegment, type ResolvedOptions, StopStrings } from "@waggle/generation";

/** Where a family of models differs from the chat models of transformers: in its prompts' ids, and in what of an answer is text. */
export interface Dialect {
  /** The ids of a prompt. Picture i takes `imageTokens[i]` positions, which hold the family's image token id. `rendered`: a template wrote the text. */
  promptIds(text: string, imageTokens: readonly number[], rendered: boolean): readonly number[];
  /** What penalties and bans see of the prompt. Default: all its ids; nothing where the authors' code hands over embeddings. */
  readonly visiblePrompt?: readonly number[];
  /** The id that transformers 4.30 and 4.36 put in front of an answer to embeddings; with their `semantics` the rules see it. */
  readonly firstId?: number | undefined;
  /** Options of conversations, beside those that prompt texts have too. */
  readonly conversation?: GenerationOptions;
  /** What of the prompt there is room for. Default: all of it, or an error. */
  fit?(prompt: readonly PromptSegment[], options: ResolvedOptions, rendered: boolean): readonly PromptSegment[];
  /** How the family's conversations are written for training. Default: as its prompts are, each answer a target. */
  readonly encoder?: SampleEncoder;
  /** What of the generated text is the answer. Default: all of it. */
  answer?(rendered: boolean): AnswerText;
}

/** What the rules see of a prompt, with the meaning that the options have. undefined: all of it. */
export function visibleIds({ visiblePrompt, firstId }: Dialect, { semantics }: ResolvedOptions): readonly number[] | undefined {
  const begun = visiblePrompt !== undefined && firstId !== undefined && (semantics === "4.30" || semantics === "4.36");
  return begun ? [firstId, ...visiblePrompt] : visiblePrompt;
}

/** What of a generated text is shown as the answer. */
export interface AnswerText {
  whole(text: string): string;
  /** The same piece by piece. */
  stream(): { push(piece: string): string; end(): string };
}

/**
 * An answer without white space at its ends, up to `until` and behind the last `after`. A stream cannot take back what it
 * has shown, so only the whole text knows of `after`.
 */
export function strippedAnswer({ until, after }: { readonly until?: string; readonly after?: string } = {}): AnswerText {
  return {
    whole(text) {
      const [kept = ""] = until === undefined ? [text] : text.split(until);
      return (after === undefined ? kept : (kept.split(after).at(-1) ?? "")).trim();
    },
    stream() {
      const stops = new StopStrings(until === undefined ? [] : [until]);
      let started = false;
      let space = ""; // shown only once something stands behind it
      const show = (text: string): string => {
        const all = started ? space + text : text.trimStart();
        const shown = all.trimEnd();
        started ||= shown !== "";
        space = all.slice(shown.length);
        return shown;
      };
      return { push: (piece) => show(stops.push(piece)), end: () => show(stops.end()) };
    },
  };
}
