/**
 * Post-processors of a tokenizer.json: put special tokens around the ids of a text. Templates for pairs of texts are
 * not read: nothing here encodes pairs.
 * reference  tokenizers `processors::*`
 */
import type { JsonEntry } from "../json-entry.ts";
import { MAX_ID } from "../vocabulary.ts";
import { parseSequence } from "./sequence.ts";

export type PostProcessor = (ids: readonly number[]) => number[];

export function parsePostProcessor(entry: JsonEntry, depth = 0): PostProcessor {
  const type = entry.at("type").string();
  switch (type) {
    case "Sequence": {
      const parts = parseSequence(entry, "processors", depth, parsePostProcessor);
      return (ids) => parts.reduce((result, part) => part(result), [...ids]);
    }
    case "ByteLevel": // changes offsets only
      return (ids) => [...ids];
    case "BertProcessing":
    case "RobertaProcessing": {
      const [first, last] = [wrapperId(entry.at("cls")), wrapperId(entry.at("sep"))];
      return (ids) => [first, ...ids, last];
    }
    case "TemplateProcessing":
      return template(entry);
    default:
      throw entry
        .at("type")
        .error(
          `post-processor ${JSON.stringify(type)} is not supported; supported: Sequence, ByteLevel, BertProcessing, RobertaProcessing, TemplateProcessing`,
          "unsupported",
        );
  }
}

/** The id of a `["[CLS]", 101]` pair. */
function wrapperId(entry: JsonEntry): number {
  const pair = entry.list();
  if (pair.length !== 2) throw entry.error(`expected [token, id], got a list of ${pair.length}`);
  entry.item(0).string();
  return idOf(entry.item(1));
}

function idOf(entry: JsonEntry): number {
  const id = entry.integer();
  if (id > MAX_ID) throw entry.error(`expected a token id up to ${MAX_ID}, got ${id}`);
  return id;
}

function template(entry: JsonEntry): PostProcessor {
  const special = entry.at("special_tokens");
  const parts = entry
    .at("single")
    .list()
    .map((part): readonly number[] | null => {
      if (part.has("Sequence")) {
        part.at("Sequence").at("id").choice(["A"]);
        return null;
      }
      const token = part.at("SpecialToken").at("id");
      const found = special.at(token.string());
      if (!found.present) throw token.error(`special_tokens has no entry ${JSON.stringify(token.value)}`, "invalid_reference");
      return found.at("ids").list().map(idOf);
    });
  return (ids) => parts.flatMap((part) => part ?? ids);
}
