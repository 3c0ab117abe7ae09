import type { ResolvedOptions } from "../options.ts";
import type { LogitsProcessor, PromptFacts } from "./logits-processor.ts";
import * as sampling from "./sampling-rules.ts";
import * as tokens from "./token-rules.ts";

/**
 * The chain for one call, in the order in which transformers' generate() builds it. Rules whose option is neutral are
 * left out, exactly as there: order and presence can be checked by name.
 */
export function logitsProcessors(options: ResolvedOptions, facts: PromptFacts): LogitsProcessor[] {
  return [...tokenRules(options, facts), ...(options.do_sample ? samplingRules(options) : []), ...normalization(options)];
}

function tokenRules(o: ResolvedOptions, { promptLength, maxLength }: PromptFacts): LogitsProcessor[] {
  const eos = o.eos_token_id;
  const chain: LogitsProcessor[] = [];
  if (o.sequence_bias) chain.push(tokens.sequenceBias(o.sequence_bias));
  if (o.repetition_penalty !== 1) chain.push(tokens.repetitionPenalty(o.repetition_penalty));
  if (o.no_repeat_ngram_size > 0) chain.push(tokens.noRepeatNGram(o.no_repeat_ngram_size));
  if (o.bad_words_ids) chain.push(tokens.noBadWords(o.bad_words_ids, eos));
  if (o.min_length > 0 && eos.length > 0) chain.push(tokens.minLength(o.min_length, eos));
  if (o.min_new_tokens > 0 && eos.length > 0) chain.push(tokens.minNewTokens(o.min_new_tokens, eos, promptLength));
  if (o.forced_bos_token_id !== null) chain.push(tokens.forcedBos(o.forced_bos_token_id));
  if (o.forced_eos_token_id) chain.push(tokens.forcedEos(o.forced_eos_token_id, maxLength));
  if (o.remove_invalid_values) chain.push(tokens.removeInvalidValues());
  if (o.exponential_decay_length_penalty) {
    const [start, factor] = o.exponential_decay_length_penalty;
    chain.push(tokens.exponentialDecay(start, factor, eos, promptLength));
  }
  if (o.suppress_tokens) chain.push(tokens.suppressTokens(o.suppress_tokens));
  if (o.begin_suppress_tokens) {
    const begin = promptLength > 1 || o.forced_bos_token_id === null ? promptLength : promptLength + 1;
    chain.push(tokens.suppressTokensAtBegin(o.begin_suppress_tokens, begin));
  }
  return chain;
}

function samplingRules(o: ResolvedOptions): LogitsProcessor[] {
  // A beam needs a candidate beside every end token; a single sequence needs one token.
  const keep = o.num_beams > 1 ? Math.max(2, o.eos_token_id.length + 1) : 1;
  const chain: LogitsProcessor[] = [];
  if (o.temperature !== 1) chain.push(sampling.temperature(o.temperature));
  if (o.top_h !== null) chain.push(sampling.topH(o.top_h));
  if (o.top_k > 0) chain.push(sampling.topK(o.top_k, keep));
  if (o.top_p < 1) chain.push(sampling.topP(o.top_p, keep));
  if (o.min_p !== null) chain.push(sampling.minP(o.min_p, keep));
  if (o.typical_p < 1) chain.push(sampling.typical(o.typical_p, keep));
  if (o.epsilon_cutoff > 0 && o.epsilon_cutoff < 1) chain.push(sampling.epsilonCutoff(o.epsilon_cutoff, keep));
  if (o.eta_cutoff > 0 && o.eta_cutoff < 1) chain.push(sampling.etaCutoff(o.eta_cutoff, keep));
  return chain;
}

function normalization(o: ResolvedOptions): LogitsProcessor[] {
  return o.renormalize_logits ? [sampling.normalize()] : [];
}
