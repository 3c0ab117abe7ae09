/** Everything that can be wrong with a picture, its source or its image processor; `code` names the kind. */
export type ImageErrorCode =
  | "bad-source" // what image() was given is no path, URL, Blob or bytes
  | "bad-option" // an option that does not exist, or has a value that it cannot have
  | "bad-config" // preprocessor_config.json
  | "bad-picture" // sizes and bytes of a Picture do not fit together
  | "bad-url"
  | "not-found"
  | "not-a-file"
  | "unreadable"
  | "network"
  | "http-status"
  | "private-address"
  | "too-many-redirects"
  | "timeout"
  | "empty"
  | "too-many-bytes"
  | "too-many-pixels"
  | "unsupported-format"
  | "unsupported-processor"
  | "corrupt"
  | "uneven-sizes" // pictures that come out at different sizes cannot be one batch
  | "worker";

/** `details` holds the numbers and names of the message as fields. */
export class ImageError extends Error {
  override readonly name = "ImageError";
  readonly code: ImageErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ImageErrorCode, message: string, details: Readonly<Record<string, unknown>> = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}
