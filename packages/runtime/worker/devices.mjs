/** Which devices ONNX Runtime can really use here: that it was built for one does not mean that there is one. */
import { InferenceSession, listSupportedBackends } from "onnxruntime-node";
import { Failure } from "./failure.mjs";

// y = Identity(x), float32 [1], opset 17: the smallest model there is.
const IDENTITY = Buffer.from("CAg6NwoQCgF4EgF5IghJZGVudGl0eRIBZ1oPCgF4EgoKCAgBEgQKAggBYg8KAXkSCgoICAESBAoCCAFCBAoAEBE=", "base64");

/**
 * Throws an error that lists the devices that work, unless `device` is one of them. Asked before a session is made:
 * handed a device that it lacks, ONNX Runtime prints a warning and uses the CPU.
 *
 * @param {string} device
 */
export async function checkDevice(device) {
  if (await works(device)) return;
  const available = [];
  for (const { name } of listSupportedBackends()) if (await works(name)) available.push(name);
  throw new Failure("device", `device "${device}" is not available here. Available: ${available.join(", ")}.`, { device, available });
}

/** @type {Map<string, boolean>} */
const known = new Map([["cpu", true]]);

/** @param {string} device */
async function works(device) {
  const before = known.get(device);
  if (before !== undefined) return before;
  const found = listSupportedBackends().some(({ name }) => name === device) && (await makesSession(device));
  known.set(device, found);
  return found;
}

/** @param {string} device */
async function makesSession(device) {
  try {
    const session = await InferenceSession.create(IDENTITY, { executionProviders: [device], logSeverityLevel: 4 });
    await session.release();
    return true;
  } catch {
    return false;
  }
}
