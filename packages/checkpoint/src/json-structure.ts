/**
 * Names that occur twice in one object of a JSON text. JSON.parse keeps the last silently, which would let a
 * file say two things about one tensor. The text must have passed JSON.parse: only strings, braces, brackets and
 * commas are looked at.
 */
export function duplicateKeys(json: string): readonly string[] {
  const duplicates = new Set<string>();
  const open: (Set<string> | null)[] = []; // the keys of each object we are in; null for an array
  let keyExpected = false;
  for (let at = 0; at < json.length; at++) {
    const character = json[at];
    if (character === '"') {
      const end = endOfString(json, at);
      const keys = open.at(-1);
      if (keyExpected && keys) {
        const key = JSON.parse(json.slice(at, end + 1)) as string;
        if (keys.has(key)) duplicates.add(key);
        keys.add(key);
        keyExpected = false;
      }
      at = end;
    } else if (character === "{") {
      open.push(new Set());
      keyExpected = true;
    } else if (character === "[") {
      open.push(null);
      keyExpected = false;
    } else if (character === "}" || character === "]") {
      open.pop();
    } else if (character === ",") {
      keyExpected = open.at(-1) !== null;
    }
  }
  return [...duplicates];
}

/** The closing quote of the string that opens at `start`. */
function endOfString(json: string, start: number): number {
  let at = start + 1;
  while (at < json.length && json[at] !== '"') at += json[at] === "\\" ? 2 : 1;
  return at;
}

const [QUOTE, BACKSLASH, OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = Buffer.from('"\\[]{}');

/** Whether brackets are nested deeper than `limit`: 20 MB of them would cost JSON.parse more than a gigabyte. */
export function isNestedDeeper(json: Uint8Array, limit: number): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < json.length; at++) {
    const byte = json[at];
    if (inString) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = true;
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      depth += 1;
      if (depth > limit) return true;
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth -= 1;
  }
  return false;
}
