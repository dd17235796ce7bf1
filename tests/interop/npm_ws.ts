/**
 * Echoes messages, long ones in fragments, with each setting of compression.
 *
 * Prints the port of each setting as one line of JSON.
 *
 * @module
 */

import { WebSocketServer } from "npm:ws@8.23.0";

/** As much of a socket of npm ws as an echo needs. */
interface EchoSocket {
  on(
    event: "message",
    listener: (data: Uint8Array, isBinary: boolean) => void,
  ): void;
  send(data: Uint8Array, options: Record<string, boolean>): void;
}

const SETTINGS = {
  disabled: false,
  default: true,
  everything: { threshold: 0 },
  nothing: { threshold: 1e9, serverNoContextTakeover: true },
  no_context_takeover: {
    serverNoContextTakeover: true,
    clientNoContextTakeover: true,
  },
  server_no_context_takeover: { serverNoContextTakeover: true },
  client_no_context_takeover: { clientNoContextTakeover: true },
  small_windows: { serverMaxWindowBits: 9, clientMaxWindowBits: 9 },
  client_window: { clientMaxWindowBits: 11 },
};

function echo(socket: EchoSocket): void {
  socket.on("message", (data, binary) => {
    if (data.length < 1000) return socket.send(data, { binary });
    const size = Math.floor(data.length / 3);
    for (let at = 0; at < data.length; at += size) {
      const fin = at + size >= data.length;
      socket.send(data.subarray(at, at + size), { binary, fin });
    }
  });
}

const ports: Record<string, number> = {};
for (const [name, perMessageDeflate] of Object.entries(SETTINGS)) {
  const server = new WebSocketServer({
    host: "127.0.0.1",
    port: 0,
    perMessageDeflate,
  });
  server.on("connection", echo);
  await new Promise((resolve) => server.on("listening", resolve));
  ports[name] = (server.address() as { port: number }).port;
}
console.log(JSON.stringify(ports));
