/** The error of a request that the local server rejects. Used by all modules of it. */

export class LocalError extends Error {
  /**
   * @param {string} message one sentence for the user
   * @param {number} [status] the HTTP status that the annotation server responds with
   */
  constructor(message, status = 400) {
    super(message);
    this.status = status;
  }
}
