/** What a file is, by its first bytes. Only the formats of `decodable` reach the decoder; the others are named in the error. */
export const decodable = ["jpeg", "png", "webp", "gif", "tiff", "avif"] as const;
export type ImageFormat = (typeof decodable)[number];

export type Recognised = { readonly format: ImageFormat } | { readonly format: null; readonly looksLike: string; readonly cure: string };

/** Latin-1 text at a place. */
type Mark = readonly [at: number, text: string];

const marks: { readonly [Format in ImageFormat]: readonly (readonly Mark[])[] } = {
  jpeg: [[[0, "\xff\xd8\xff"]]],
  png: [[[0, "\x89PNG\r\n\x1a\n"]]],
  webp: [
    [
      [0, "RIFF"],
      [8, "WEBP"],
    ],
  ],
  gif: [[[0, "GIF87a"]], [[0, "GIF89a"]]],
  tiff: [[[0, "II*\0"]], [[0, "MM\0*"]], [[0, "II+\0"]], [[0, "MM\0+"]]],
  avif: [[[4, "ftypavif"]], [[4, "ftypavis"]]],
};

const convert = "Convert it to PNG.";
const undecodable: readonly { readonly looksLike: string; readonly cure: string; readonly marks: readonly Mark[] }[] = [
  { looksLike: "a BMP file", cure: convert, marks: [[0, "BM"]] },
  {
    looksLike: "an HEIF file",
    cure: "Convert it to JPEG.",
    marks: [
      [4, "ftyphei"],
      [4, "ftyphev"],
      [4, "ftypmif1"],
      [4, "ftypmsf1"],
    ],
  },
  {
    looksLike: "a JPEG XL file",
    cure: convert,
    marks: [
      [0, "\xff\x0a"],
      [4, "JXL "],
    ],
  },
  {
    looksLike: "a JPEG 2000 file",
    cure: convert,
    marks: [
      [0, "\xff\x4f\xff\x51"],
      [4, "jP  "],
    ],
  },
  {
    looksLike: "a Windows icon",
    cure: convert,
    marks: [
      [0, "\0\0\x01\0"],
      [0, "\0\0\x02\0"],
    ],
  },
  { looksLike: "a PDF document", cure: "Save the page as a picture.", marks: [[0, "%PDF"]] },
  { looksLike: "gzip-compressed data", cure: "Decompress it first (a compressed SVG is never rendered).", marks: [[0, "\x1f\x8b"]] },
];

export function recognise(bytes: Uint8Array): Recognised {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.byteLength, 4096)).toString("latin1");
  const shows = ([at, text]: Mark): boolean => head.startsWith(text, at);
  const format = decodable.find((name) => marks[name].some((all) => all.every(shows)));
  if (format !== undefined) return { format };
  const other = undecodable.find((entry) => entry.marks.some(shows)) ?? textual(head);
  return { format: null, ...other };
}

function textual(head: string): { readonly looksLike: string; readonly cure: string } {
  const text = head.replace(/^(\xef\xbb\xbf)?\s*/, "").toLowerCase();
  if (text.startsWith("<") && /<(\w+:)?svg\b/.test(text))
    return { looksLike: "an SVG drawing", cure: "SVG is never rendered: convert it to PNG." };
  if (/^<(!doctype html|html|head|body)\b/.test(text)) {
    return { looksLike: "an HTML page", cure: "Is this the address of a page that shows the picture?" };
  }
  const cure = "Is this the right file?";
  if (text.startsWith("<?xml")) return { looksLike: "an XML document", cure };
  return /^[\s\x20-\x7e\x80-\xff]*$/.test(text) ? { looksLike: "text", cure } : { looksLike: "no image format that is known here", cure };
}
