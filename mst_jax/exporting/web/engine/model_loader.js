/** Loads the model and starts the network once, while the page is already usable. Used
 * by worker.js. */

import { ClickEngine } from "./click_engine.js";
import { PartLoader } from "./file_parts.js";
import { NetworkError, hasWebGpu, startNetwork } from "./network.js";

export class ModelLoader {
  /** Bytes of the model and of onnxruntime-web that have arrived. */
  numLoadedBytes = 0;
  /** @type {?string} what computes; null until the network has started */
  backend = null;
  /** @type {?Error} why the last start has failed */
  error = null;
  #engine = null;

  /**
   * @param {object} manifest content of manifest.json
   * @param {URL} baseUrl folder of the page
   */
  constructor(manifest, baseUrl) {
    Object.assign(this, { manifest, baseUrl });
    this.loader = new PartLoader(baseUrl, (numBytes) => this.#addProgress(numBytes));
    this.numBytes = this.#countBytes("wasm");
  }

  /**
   * Returns the engine once the network has started; after a failure, tries again.
   * @returns {Promise<ClickEngine>}
   */
  loadEngine() {
    this.#engine ??= this.#start().catch((error) => {
      this.#engine = null;
      this.error = error;
      throw error;
    });
    return this.#engine;
  }

  async #start() {
    const { manifest } = this;
    this.error = null;
    this.numLoadedBytes = 0;
    const canUseWebGpu = await hasWebGpu();
    this.numBytes = this.#countBytes(canUseWebGpu ? "webgpu" : "wasm");
    const modelData = await this.loader.load(manifest.files.model);
    const network = await this.#startFastest(modelData, canUseWebGpu);
    this.backend = network.description;
    this.loader.forgetOthers(Object.values(manifest.files));
    return new ClickEngine(network, manifest.zoom);
  }

  /** Starts the first backend that computes what Python computes. */
  async #startFastest(modelData, canUseWebGpu) {
    if (canUseWebGpu) {
      try {
        return await this.#startBackend("webgpu", modelData);
      } catch (error) {
        console.info(`WebGPU is not used: ${error.message}`);
      }
    }
    return this.#startBackend("wasm", modelData);
  }

  async #startBackend(backend, modelData) {
    const { manifest: { files, runtime, zoom, check } } = this;
    const binary = await this.loader.load(files[backend]);
    const urls = Object.fromEntries(Object.entries(runtime[backend]).map(
      ([name, path]) => [name, new URL(path, this.baseUrl).href]));
    try {
      const network = await startNetwork(backend, urls, binary, modelData);
      await network.check(check, zoom.size);
      return network;
    } catch (error) {
      if (error instanceof NetworkError) throw error;
      throw new NetworkError(`The model cannot be started here: ${error.message}`);
    }
  }

  #countBytes(backend) {
    const { files } = this.manifest;
    const sizes = [files.model, files[backend]].flatMap(({ parts }) =>
      parts.map(({ size }) => size));
    return sizes.reduce((sum, size) => sum + size, 0);
  }

  #addProgress(numBytes) {
    this.numLoadedBytes += numBytes;
  }
}
