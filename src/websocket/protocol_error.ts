/** Thrown if the peer violates the protocol. The message is a clause that names the violation. */
export class ProtocolError extends Error {
  /** The name of the class. */
  override readonly name = "ProtocolError";
  /** The close code to send to the peer (RFC 6455 section 7.4.1). */
  readonly code: 1002 | 1007 | 1009;

  constructor(code: 1002 | 1007 | 1009, message: string) {
    super(message);
    this.code = code;
  }
}
