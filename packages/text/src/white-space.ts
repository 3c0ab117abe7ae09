/** White space as Unicode (and Rust) has it. JavaScript's `trim` differs: it takes U+FEFF and leaves U+0085. */
const UNICODE = /^\p{White_Space}$/u;
/** As Python's `str.isspace`: the four separators of ASCII too. */
const PYTHON = /^[\p{White_Space}\x1c-\x1f]$/u;

export function stripStart(text: string, space: RegExp = UNICODE): string {
  let start = 0;
  while (start < text.length && space.test(text.charAt(start))) start++;
  return text.slice(start);
}

/** Backwards by hand: `/\s+$/` takes quadratic time on a long run of spaces inside the text. */
export function stripEnd(text: string, space: RegExp = UNICODE): string {
  let end = text.length;
  while (end > 0 && space.test(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

/** Python's `text.strip()`. */
export function pythonStrip(text: string): string {
  return pythonStripEnd(pythonStripStart(text));
}

export function pythonStripStart(text: string): string {
  return stripStart(text, PYTHON);
}

export function pythonStripEnd(text: string): string {
  return stripEnd(text, PYTHON);
}
