/** Attributes of ONNX nodes; ONNX tells integers from floats, so each is wrapped by its kind. */
export type OnnxAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly ints: readonly number[] }
  | { readonly string: string };
export type OnnxAttributes = Readonly<Record<string, OnnxAttribute>>;

export const int = (value: number | boolean): OnnxAttribute => ({ int: Number(value) });
export const float = (value: number): OnnxAttribute => ({ float: value });
export const ints = (values: readonly number[]): OnnxAttribute => ({ ints: values });
export const string = (value: string): OnnxAttribute => ({ string: value });
