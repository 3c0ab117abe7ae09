import { Tensor } from "onnxruntime-common";
import { describe, expect, test } from "vitest";
import { Runtime } from "./index.ts";

const module = new URL("./__fixtures__/kernel.mjs", import.meta.url);

describe.each([true, false])("a kernel, worker: %s", (worker) => {
  test("changes resident tensors in place", async () => {
    using runtime = new Runtime({ worker });
    const [a, b] = [await runtime.allocate("float32", [2, 2]), await runtime.allocate("float32", [])];
    await a.write(new Tensor("float32", Float32Array.of(1, 2, 3, 4), [2, 2]), { axis: 0, offset: [0] });
    expect(await runtime.kernel(module, "increase", { all: [a, b] }, { by: 0.5 })).toEqual({ sum: 12, dims: [2, 2] });
    expect([...(await a.read()).data]).toEqual([1.5, 2.5, 3.5, 4.5]);
    expect([...(await b.read()).data]).toEqual([0.5]);
  });

  test("says which function failed, and which is missing", async () => {
    using runtime = new Runtime({ worker });
    await expect(runtime.kernel(module, "refuse", {})).rejects.toThrow("refuse: not with me");
    await expect(runtime.kernel(module, "nothing", {})).rejects.toThrow("exports no function nothing");
    const gone = await runtime.allocate("float32", [1]);
    gone.dispose();
    await expect(runtime.kernel(module, "increase", { all: [gone] }, { by: 1 })).rejects.toMatchObject({ code: "disposed" });
  });
});
