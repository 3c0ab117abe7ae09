/**
 * Serves jobs strictly one after the other. Before each it takes in all messages that wait, so that a job which was
 * cancelled meanwhile is never begun.
 *
 * @import { Job, JobMessage, Respond } from "../src/protocol.ts"
 */
import { Executor } from "./executor.mjs";
import { Failure, messageOf } from "./failure.mjs";

/**
 * @param {Respond} respond
 * @param {() => JobMessage | undefined} receive  the next waiting message, if there is one
 * @returns {import("../src/protocol.ts").JobQueue}
 */
export function createQueue(respond, receive) {
  const executor = new Executor();
  /** @type {Job[]} */
  let waiting = [];
  let serving = false;

  const accept = (/** @type {JobMessage} */ message) => {
    if ("cancel" in message) waiting = waiting.filter(({ id }) => id !== message.cancel);
    else waiting.push(message);
  };
  const serve = async () => {
    if (serving) return;
    serving = true;
    for (;;) {
      for (let message = receive(); message; message = receive()) accept(message);
      const job = waiting.shift();
      if (!job) break;
      await answer(executor, job, respond);
    }
    serving = false;
  };
  return {
    accept(message) {
      accept(message);
      void serve();
    },
  };
}

/**
 * @param {Executor} executor
 * @param {Job} job
 * @param {Respond} respond
 */
async function answer(executor, { id, name, request }, respond) {
  try {
    const reply = await executor[name](/** @type {never} */ (request));
    respond({ id, reply }, buffersOf(reply));
  } catch (error) {
    const { code, details } = error instanceof Failure ? error : { code: "internal", details: {} };
    respond({ id, error: { code, message: messageOf(error), details } }, []);
  }
}

/**
 * The buffers of the tensors in a reply. They are fresh: the executor keeps none of them.
 *
 * @param {Awaited<ReturnType<Executor[keyof Executor]>>} reply
 * @returns {ArrayBuffer[]}
 */
function buffersOf(reply) {
  if (reply === null) return [];
  const tensors = "outputs" in reply ? Object.values(reply.outputs) : "data" in reply ? [reply] : [];
  return [...new Set(tensors.map(({ data }) => /** @type {ArrayBuffer} */ (data.buffer)))];
}
