export type HubErrorCode =
  | "invalid_id" // neither a folder nor the name of a repository
  | "not_found" // no such repository, revision or file, or nothing in it that is wanted
  | "unauthorized" // private or gated, and the token does not open it
  | "offline" // not in the cache, and the network must not be used
  | "unreachable" // no connection, or the connection broke again and again
  | "server_error" // the hub answered, but not with what was asked for
  | "size_mismatch"
  | "corrupt"; // complete, but not the content that the hub announced

/** What can go wrong between a model's name and its folder. */
export class HubError extends Error {
  override readonly name: string = "HubError";
  readonly code: HubErrorCode;
  /** The repository, or what was given in its place. */
  readonly repository: string;
  readonly file?: string;
  readonly status?: number;

  constructor(
    code: HubErrorCode,
    repository: string,
    message: string,
    options: ErrorOptions & { readonly file?: string; readonly status?: number } = {},
  ) {
    super(`${repository}${options.file === undefined ? "" : ` ${options.file}`}: ${message}`, options);
    this.code = code;
    this.repository = repository;
    if (options.file !== undefined) this.file = options.file;
    if (options.status !== undefined) this.status = options.status;
  }
}
