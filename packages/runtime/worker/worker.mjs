/** The thread in which a Runtime's sessions live. */
import { parentPort, receiveMessageOnPort } from "node:worker_threads";
import { env } from "onnxruntime-node";
import { createQueue } from "./job-queue.mjs";

env.logLevel = "fatal"; // everything else is thrown; a library does not print

const port = parentPort;
if (!port) throw new Error("worker.mjs is started by Runtime, in a worker thread.");
const queue = createQueue(
  (answer, transfer) => port.postMessage(answer, transfer),
  () => receiveMessageOnPort(port)?.message,
);
port.on("message", (message) => queue.accept(message));
