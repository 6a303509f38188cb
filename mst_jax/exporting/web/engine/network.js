/** Runs the network with onnxruntime-web: WebGPU where the browser has it and computes
 * correctly, else WebAssembly. Used by engine/model_loader.js. */

const MAX_THREADS = 8;
const MAX_CHECK_ERROR = 0.01; // mean difference to Python, relative to the largest logit
const NUM_CHANNELS = 3;
const CLICK_LENGTH = 3; // row, column, label
/** Click slots of the network's input; doubled until all clicks fit. */
export const MIN_SLOTS = 24;
/** Labels of click slots; an empty slot has -1 everywhere. */
export const [POSITIVE, NEGATIVE, EMPTY] = [1, 0, -1];

/** The browser does not run the network; the message is a sentence for the user. */
export class NetworkError extends Error {}

/**
 * @typedef {object} Example input of the network, without batch axis
 * @property {Float32Array} image size * size * 3 values, 0 to 1
 * @property {Float32Array} prevMask size * size probabilities
 * @property {Float32Array} clicks row, column and label of each click slot; label 1 =
 *   positive, 0 = negative, -1 = empty
 */

export class Network {
  /**
   * @param {object} ort the module of onnxruntime-web
   * @param {object} session its session with the model
   * @param {string} description of what computes, for the user
   */
  constructor(ort, session, description) {
    Object.assign(this, { ort, session, description });
  }

  /**
   * @param {Example[]} examples
   * @param {number} size side of the images in pixels
   * @returns {Promise<Float32Array[]>} size * size logits of each example
   */
  async run(examples, size) {
    const { Tensor } = this.ort;
    const batchSize = examples.length;
    const numSlots = examples[0].clicks.length / CLICK_LENGTH;
    const makeTensor = (name, ...shape) => new Tensor(
      "float32", joinArrays(examples.map((example) => example[name])),
      [batchSize, ...shape]);
    const outputs = await this.session.run({
      image: makeTensor("image", size, size, NUM_CHANNELS),
      clicks: makeTensor("clicks", numSlots, CLICK_LENGTH),
      prev_mask: makeTensor("prevMask", size, size),
    });
    const logits = await outputs.logits.getData();
    const numPixels = size * size;
    return examples.map((_, index) =>
      logits.slice(index * numPixels, (index + 1) * numPixels));
  }

  /**
   * Checks that the logits are those that Python has computed; also a warm-up.
   * @param {object} check block of manifest.json
   * @param {number} size side of the images in pixels
   * @throws {NetworkError}
   */
  async check({ step, logits: expectedLogits }, size) {
    const [logits] = await this.run([makeCheckExample(size)], size);
    let sumOfErrors = 0;
    let largest = 0;
    expectedLogits.forEach((expected, index) => {
      sumOfErrors += Math.abs(logits[index * step] - expected);
      largest = Math.max(largest, Math.abs(expected));
    });
    const error = sumOfErrors / expectedLogits.length / largest;
    // Written so that NaN is an error.
    if (!(error <= MAX_CHECK_ERROR)) {
      throw new NetworkError(
        `The model computes other values with ${this.description} than in Python ` +
        `(mean difference ${error.toPrecision(2)}); use another browser.`);
    }
  }
}

/**
 * Starts the network on one kind of processor.
 * @param {"webgpu"|"wasm"} backend
 * @param {object} runtime URLs of onnxruntime-web: module and glue
 * @param {Uint8Array} binary WebAssembly of onnxruntime-web
 * @param {Uint8Array} modelData the ONNX model
 * @returns {Promise<Network>}
 */
export async function startNetwork(backend, runtime, binary, modelData) {
  const ort = await import(runtime.module);
  const numThreads = globalThis.crossOriginIsolated
    ? Math.min(navigator.hardwareConcurrency || 1, MAX_THREADS) : 1;
  ort.env.logLevel = "error";
  Object.assign(ort.env.wasm, {
    numThreads, wasmBinary: binary, wasmPaths: { mjs: runtime.glue },
  });
  const session = await ort.InferenceSession.create(modelData, {
    executionProviders: [backend], logSeverityLevel: 3,
  });
  const threads = numThreads > 1 ? `${numThreads} threads` : "1 thread";
  const description = backend === "webgpu" ? "WebGPU" : `WebAssembly, ${threads}`;
  return new Network(ort, session, description);
}

/** @returns {Promise<boolean>} whether the browser has a graphics processor for us */
export async function hasWebGpu() {
  try {
    return Boolean(await navigator.gpu?.requestAdapter());
  } catch {
    return false;
  }
}

/** @returns {Float32Array} click slots without clicks, see `Example` */
export function makeEmptySlots(numSlots) {
  return new Float32Array(numSlots * CLICK_LENGTH).fill(EMPTY);
}

/** Makes the input of the check; web_page.py makes the same. */
function makeCheckExample(size) {
  const image = Float32Array.from(
    { length: size * size * NUM_CHANNELS }, (_, index) => ((index * 37) % 251) / 255);
  const clicks = makeEmptySlots(MIN_SLOTS);
  clicks.set([size / 2, size / 2, POSITIVE, size / 4, size / 4, NEGATIVE]);
  return { image, prevMask: new Float32Array(size * size), clicks };
}

function joinArrays(arrays) {
  const joined = new Float32Array(arrays.length * arrays[0].length);
  arrays.forEach((array, index) => joined.set(array, index * array.length));
  return joined;
}
