/**
 * A recorded WebSocket feed as a server on 127.0.0.1, for the tests of a program
 * that consumes it.
 *
 * ```ts
 * import { connectWebSocket } from "@wstap/wstap";
 * import { serveReplay } from "@wstap/wstap/replay";
 *
 * // Does the consumer survive a connection that is lost after the first message?
 * await using feed = await serveReplay([
 *   { time: "2024-05-06T07:08:09.000Z", type: "text", data: '{"id":1}' },
 *   { time: "2024-05-06T07:08:10.000Z", type: "text", data: '{"id":2}' },
 * ], { speed: Infinity, fault: { after: 1, how: "drop" } });
 * const [connection] = await connectWebSocket(feed.url);
 * console.log(await connection.recv()); // {"id":1}
 * ```
 *
 * A recording is made with `wstap --format ndjson -o feed.ndjson URL`; then
 * `serveReplay("feed.ndjson")` serves it. HAR files, in which browsers and proxies
 * export WebSocket messages, can be served, too.
 *
 * @module
 */

export type { ReplayEvent, ReplayOptions } from "./src/replay/options.ts";
export type { RecordedEvent } from "./src/replay/recording.ts";
export { type Replay, serveReplay } from "./src/replay/serve.ts";
