/**
 * Decoders of a tokenizer.json: token spellings to text. Each one works token by token and says at the end what it
 * held back, so decoding a list and decoding a stream are the same code. They disagree in one case only, as in the
 * reference: a run of bytes that is no UTF-8 as a whole (see byteFallback).
 * reference  tokenizers `decoders::*`
 */
import type { JsonEntry } from "../json-entry.ts";
import { byteOfToken, fromUtf8, fromValidUtf8 } from "../utf8.ts";
import { charactersToBytes } from "./byte-level.ts";
import { parseMetaspace } from "./metaspace.ts";
import { parsePattern, replaceMatches } from "./pattern.ts";
import { parseSequence } from "./sequence.ts";

/** One run over one list of tokens. */
export interface DecoderRun {
  push(token: string): readonly string[];
  end(): readonly string[];
  /** Bytes of an unfinished character are waiting. */
  open?(): boolean;
}

/** `streaming`: text is wanted as early as it can be had. */
export type Decoder = (streaming: boolean) => DecoderRun;

export function parseDecoder(entry: JsonEntry, depth = 0): Decoder {
  const type = entry.at("type").string();
  switch (type) {
    case "Sequence":
      return sequence(entry, depth);
    case "ByteLevel":
      return byteLevel;
    case "ByteFallback":
      return byteFallback;
    case "Fuse":
      return eachToken((token) => token);
    case "Replace":
      return replace(entry);
    case "Strip":
      return strip(entry, false);
    case "Metaspace":
      return metaspace(entry);
    case "WordPiece":
      return wordPiece(entry.at("prefix").string("##"), entry.at("cleanup").boolean(true));
    case "BPEDecoder":
      return bytePair(entry.at("suffix").string("</w>"));
    case "CTC":
      return ctc(entry);
    default:
      throw entry.at("type").error(`decoder ${JSON.stringify(type)} is not supported; supported: ${SUPPORTED}`, "unsupported");
  }
}

const SUPPORTED = "Sequence, ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace, WordPiece, BPEDecoder, CTC";

/** Without a decoder the tokens stand apart. */
export const spaced: Decoder = () => {
  let first = true;
  return {
    push(token) {
      const text = first ? token : ` ${token}`;
      first = false;
      return [text];
    },
    end: () => [],
  };
};

function eachToken(change: (token: string, index: number) => string): Decoder {
  return () => {
    let index = 0;
    return { push: (token) => [change(token, index++)], end: () => [] };
  };
}

/**
 * The parts one after the other. A Fuse (or ByteLevel) makes one text of all tokens. Strip can trim that text as it
 * comes; any other part behind a Fuse has to see it whole, so there the text is collected until the end.
 */
function sequence(entry: JsonEntry, depth: number): Decoder {
  const types = entry
    .at("decoders")
    .list()
    .map((part) => part.at("type").value);
  let fused = false;
  let index = 0;
  const parts = parseSequence(entry, "decoders", depth, (part, below): Decoder => {
    const type = types[index++];
    const decoder = type === "Strip" ? strip(part, fused) : parseDecoder(part, below);
    const fuses = type === "Fuse" || type === "ByteLevel";
    const wholeNeeded = fuses && types.slice(index).some((later) => later !== "Strip" && later !== "Fuse");
    fused ||= fuses;
    return wholeNeeded ? collected(decoder) : decoder;
  });
  return (streaming) => {
    const runs = parts.map((part) => part(streaming));
    const pass = (tokens: readonly string[], from: number): readonly string[] => {
      let current = tokens;
      for (let i = from; i < runs.length; i++) {
        const run = runs[i] as DecoderRun;
        const [only] = current;
        current = current.length === 1 && only !== undefined ? run.push(only) : current.flatMap((token) => run.push(token));
      }
      return current;
    };
    return {
      push: (token) => pass([token], 0),
      end: () => runs.flatMap((run, i) => pass(run.end(), i + 1)),
      open: () => runs.some((run) => run.open?.() ?? false),
    };
  };
}

function collected(decoder: Decoder): Decoder {
  return (streaming) => {
    const run = decoder(streaming);
    let text = "";
    return {
      push(token) {
        text += run.push(token).join("");
        return [];
      },
      end: () => [text + run.end().join("")],
    };
  };
}

/** Bytes at the end that begin a character gather until it is whole. */
const byteLevel: Decoder = () => {
  let pending = new Uint8Array(0);
  return {
    push(token) {
      const bytes = join(pending, charactersToBytes(token));
      const whole = bytes.length - unfinishedLength(bytes);
      pending = bytes.slice(whole);
      return whole === 0 ? [] : [fromUtf8(bytes.subarray(0, whole))];
    },
    end: () => (pending.length === 0 ? [] : [fromUtf8(pending)]),
    open: () => pending.length > 0,
  };
};

/** How many bytes at the end begin a character that needs more: 0 to 3. */
function unfinishedLength(bytes: Uint8Array): number {
  for (let length = 1; length <= 3 && length <= bytes.length; length++) {
    const byte = bytes[bytes.length - length] as number;
    if (byte >= 0xc0) return byte >= 0xf0 || (byte >= 0xe0 && length < 3) || length < 2 ? length : 0;
    if (byte < 0x80) return 0;
  }
  return 0;
}

const LONGEST_CHARACTER = 4; // bytes: a longer run that is not UTF-8 will never be

/**
 * `<0xE4>` tokens gather until another token comes; a run that is not UTF-8 as a whole becomes one U+FFFD per byte, even
 * where some of its bytes are characters. A stream gives whole characters out before it knows how the run ends.
 */
const byteFallback: Decoder = (streaming) => {
  let pending: number[] = [];
  const flush = (): string[] => {
    if (pending.length === 0) return [];
    const text = fromValidUtf8(Uint8Array.from(pending));
    const flushed = text === null ? pending.map(() => "\ufffd") : [text];
    pending = [];
    return flushed;
  };
  return {
    push(token) {
      const byte = byteOfToken(token);
      if (byte === -1) return [...flush(), token];
      pending.push(byte);
      const whole = streaming && pending.length <= LONGEST_CHARACTER && fromValidUtf8(Uint8Array.from(pending)) !== null;
      return whole ? flush() : [];
    },
    end: flush,
    open: () => pending.length > 0,
  };
};

function join(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

function replace(entry: JsonEntry): Decoder {
  const matches = parsePattern(entry.at("pattern"));
  const content = entry.at("content").string();
  return eachToken((token) => replaceMatches(token, matches(token), content));
}

/** Takes up to `start` characters `content` from the front and up to `stop` from the back, of each token or of the whole. */
function strip(entry: JsonEntry, whole: boolean): Decoder {
  const content = entry.at("content").character(" ");
  const [start, stop] = [entry.at("start").integer(0), entry.at("stop").integer(0)];
  if (!whole) return eachToken((token) => stripped(token, content, start, stop));
  return () => {
    let left = start; // characters that may still be taken from the front
    let held = ""; // a tail that may have to be taken from the back
    return {
      push(token) {
        let text = token;
        while (left > 0 && text !== "") {
          const more: boolean = text.startsWith(content);
          if (more) text = text.slice(content.length);
          left = more ? left - 1 : 0;
        }
        text = held + text;
        const kept = stripped(text, content, 0, stop);
        held = text.slice(kept.length);
        return [kept];
      },
      end: () => [],
    };
  };
}

function stripped(token: string, content: string, start: number, stop: number): string {
  let [from, to] = [0, token.length];
  for (let i = 0; i < start && token.startsWith(content, from) && from < to; i++) from += content.length;
  for (let i = 0; i < stop && to > from && token.endsWith(content, to); i++) to -= content.length;
  return token.slice(from, to);
}

function metaspace(entry: JsonEntry): Decoder {
  const { replacement, prepends } = parseMetaspace(entry);
  return eachToken((token, index) => token.replaceAll(replacement, index === 0 && prepends !== "never" ? "" : " "));
}

function wordPiece(prefix: string, cleanup: boolean): Decoder {
  return eachToken((token, index) => {
    let text = token;
    if (index > 0) text = token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
    return cleanup ? cleanUpPunctuation(text, true) : text;
  });
}

/** The suffix is a space, but nothing at the very end: a token waits for the next one. */
function bytePair(suffix: string): Decoder {
  return () => {
    let held: string | null = null;
    return {
      push(token) {
        const text = held === null ? [] : [held.replaceAll(suffix, " ")];
        held = token;
        return text;
      },
      end: () => (held === null ? [] : [held.replaceAll(suffix, "")]),
    };
  };
}

function ctc(entry: JsonEntry): Decoder {
  const pad = entry.at("pad_token").string("<pad>");
  const delimiter = entry.at("word_delimiter_token").string("|");
  const cleanup = entry.at("cleanup").boolean(true);
  return () => {
    let previous: string | null = null;
    return {
      push(token) {
        if (token === previous) return [];
        previous = token;
        const text = token.replaceAll(pad, "");
        return [cleanup ? cleanUpPunctuation(text, true).replaceAll(delimiter, " ") : text];
      },
      end: () => [],
    };
  };
}

/** English clean-up of WordPiece and of `clean_up_tokenization_spaces`; only the former knows " do not". */
export function cleanUpPunctuation(text: string, contractDoNot: boolean): string {
  const cleaned = [" .", " ?", " !", " ,"].reduce((result, mark) => result.replaceAll(mark, mark.slice(1)), text);
  const apostrophes = cleaned.replaceAll(" ' ", "'").replaceAll(" n't", "n't").replaceAll(" 'm", "'m");
  const contracted = contractDoNot ? apostrophes.replaceAll(" do not", " don't") : apostrophes;
  return contracted.replaceAll(" 's", "'s").replaceAll(" 've", "'ve").replaceAll(" 're", "'re");
}
