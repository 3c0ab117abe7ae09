/** White space as Unicode (and Rust) has it. JavaScript's `trim` differs: it takes U+FEFF and leaves U+0085. */
function isSpace(character: string): boolean {
  return /\p{White_Space}/u.test(character);
}

/** As Python's `str.isspace`: the four separators of ASCII too. */
function isPythonSpace(character: string): boolean {
  const code = character.charCodeAt(0);
  return isSpace(character) || (code >= 0x1c && code <= 0x1f);
}

export function stripStart(text: string, space: (character: string) => boolean = isSpace): string {
  let start = 0;
  while (start < text.length && space(text.charAt(start))) start++;
  return text.slice(start);
}

/** Backwards by hand: `/\s+$/` takes quadratic time on a long run of spaces inside the text. */
export function stripEnd(text: string, space: (character: string) => boolean = isSpace): string {
  let end = text.length;
  while (end > 0 && space(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

/** Python's `text.strip()`. */
export function pythonStrip(text: string): string {
  return pythonStripEnd(pythonStripStart(text));
}

export function pythonStripStart(text: string): string {
  return stripStart(text, isPythonSpace);
}

export function pythonStripEnd(text: string): string {
  return stripEnd(text, isPythonSpace);
}
