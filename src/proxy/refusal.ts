/** Thrown if a proxy refuses. The message continues a sentence that begins with the proxy. */
export class Refusal extends Error {
  /** Whether the same request may succeed later. `undefined` if the status of the answer tells. */
  readonly transient: boolean | undefined;

  /**
   * Creates the error.
   *
   * @param message What the proxy did.
   * @param transient Whether the same request may succeed later.
   */
  constructor(message: string, transient?: boolean) {
    super(message);
    this.transient = transient;
  }
}
