import { expect, test } from "vitest";
import { Channel } from "./channel.ts";
import { workerTransport } from "./transport.ts";

const DYING = new URL("./__fixtures__/dying-worker.mjs", import.meta.url);

test("a worker that dies rejects every pending call, and later ones say so", async () => {
  const channel = new Channel((listener) => workerTransport(listener, DYING), true);
  const calls = [1, 2, 3].map((resident) => channel.call("read", { resident, first: 0, rows: 1 }));
  const message = "The runtime's worker thread ended unexpectedly: out of memory. Everything it held is lost: make a new Runtime.";
  for (const call of calls) await expect(call).rejects.toMatchObject({ name: "RuntimeError", code: "crashed", message });
  await expect(channel.call("close", undefined)).rejects.toMatchObject({ code: "crashed", message });
  expect(() => channel.throwIfEnded()).toThrow(message);
  await channel.release({ residents: [1] }); // nothing to free, nothing to complain about
  channel.dispose();
});

test("a worker that cannot be started is a crash too", async () => {
  const channel = new Channel((listener) => workerTransport(listener, new URL("./no-such-worker.mjs", import.meta.url)), true);
  await expect(channel.call("close", undefined)).rejects.toMatchObject({
    code: "crashed",
    message: expect.stringContaining("no-such-worker"),
  });
});
