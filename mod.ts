/**
 * A WebSocket client that returns the HTTP response of the handshake together
 * with the connection.
 *
 * {@linkcode connectWebSocket} connects once. Messages are received one at a time
 * with `recv()` or `for await`, or in timed batches with `recvBatch()`. A call that
 * times out or is aborted loses no message. {@linkcode connections} connects again
 * each time the connection ends.
 *
 * By default the server sees two connections, and the response is that of the
 * first, a pre-flight request. With `capture: "direct"` it sees one, and a reader
 * that is too slow makes the server wait; {@linkcode ConnectOptions} has all options.
 *
 * @example Messages one at a time
 * ```ts no-eval
 * import { connectWebSocket } from "@wstap/wstap";
 *
 * const [connection, response] = await connectWebSocket("wss://example.com/");
 * console.log(response.status, response.statusText); // 101 Switching Protocols
 * for (const [name, value] of response.headers) console.log("Header", name, value);
 *
 * for (let data; (data = await connection.recv()) !== null;) {
 *   console.log(JSON.parse(data));
 * }
 * ```
 *
 * @example A feed that connects again
 * ```ts no-eval
 * import { connections } from "@wstap/wstap";
 *
 * for await (const [connection] of connections("wss://example.com/events")) {
 *   for await (const batch of connection.batches("3s")) console.log(batch.length);
 * }
 * ```
 *
 * @module
 */

export { connectWebSocket } from "./src/connect.ts";
export {
  type BatchOptions,
  type CloseInfo,
  type PingOptions,
  type RecvOptions,
  WebSocketConnection,
} from "./src/connection.ts";
export { type DurationLike, parseDuration } from "./src/duration.ts";
export {
  BinaryMessageError,
  BufferOverflowError,
  ConnectionClosedError,
  HandshakeError,
} from "./src/errors.ts";
export type { HandshakeRequest, HttpOptions } from "./src/http/request.ts";
export type { ConnectOptions, Heartbeat } from "./src/options.ts";
export {
  type Attempt,
  connections,
  type PerAttempt,
  type ReconnectOptions,
  type Retry,
  type UrlSource,
} from "./src/reconnect.ts";
export {
  HandshakeResponse,
  type HandshakeResponseInit,
} from "./src/response.ts";
