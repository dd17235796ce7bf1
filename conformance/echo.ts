/**
 * The server of the replays as an echo, for the other half of Autobahn|Testsuite:
 *
 * ```sh
 * deno run --allow-net=127.0.0.1 conformance/echo.ts 9001
 * wstest -m fuzzingclient
 * ```
 *
 * @module
 */

import { Server } from "../src/replay/server.ts";

const server = new Server(Number(Deno.args[0] ?? 9001), () => ({
  serve: async () => {},
  receive: (client, message) => client.send([message]),
}));
console.log(server.url);
