/**
 * Servers that fall silent, or leave, at each stage of a connection.
 *
 * @module
 */

import { acceptKey, frame, type Peer } from "../fixtures/raw.ts";
import { type HostileCase, native } from "./hostile.ts";

/** What a server does, step by step; it stops behind one of them. */
const STAGES: [stage: string, step: (peer: Peer) => Promise<void>][] = [
  ["before it has read a byte", async () => {}],
  ["within the request", async (peer) => {
    await peer.conn.read(new Uint8Array(10));
  }],
  ["behind the request", async (peer) => {
    peer.head = "";
    await peer.readHead();
  }],
  ["within its status line", (peer) => peer.write("HTTP/1.1 10")],
  ["within its head", async (peer) => {
    await peer.write("1 Switching Protocols\r\nUpgrade: webso");
  }],
  ["before the last byte of its head", async (peer) => {
    await peer.write(
      "cket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
        `${acceptKey(peer.key)}\r\n\r`,
    );
  }],
  ["behind its head", (peer) => peer.write("\n")],
  ["behind a message", (peer) => peer.send("hello")],
  ["within the header of a frame", (peer) => peer.write(HALVES[0]!)],
  ["within a frame", (peer) => peer.write(HALVES[1]!)],
  ["behind a fragment", (peer) => peer.write(HALVES[2]!)],
];

/** A message in two fragments, cut within a header and within a payload. */
const HALVES = (() => {
  const first = frame(1, "x".repeat(300), { fin: false });
  return [first.subarray(0, 2), first.subarray(2, 100), first.subarray(100)];
})();

/** Does what a server does up to a stage. */
async function until(peer: Peer, last: number): Promise<void> {
  for (const [index, [, step]] of STAGES.entries()) {
    // What reads the request reads it whole, but for the stage within it.
    if (index === 1 && last !== 1) continue;
    await step(peer);
    if (index === last) return;
  }
}

export const silence: HostileCase[] = STAGES.map(([stage], index) => ({
  name: `that falls silent ${stage}`,
  serve: async (peer) => {
    await until(peer, index);
    await peer.waitForEnd();
  },
  options: index < 6 ? { handshakeTimeout: "200ms" } : {},
  expected: index < 6
    ? "timeout"
    : index === 6
    ? "opened silent"
    : 'opened "hello" silent',
  ...(index >= 6 && {
    keepsOpen: native("the socket waits for the answer to its close frame"),
  }),
}));

export const endings: HostileCase[] = STAGES.map(([stage], index) => ({
  name: `that leaves ${stage}`,
  serve: async (peer) => {
    await until(peer, index);
    peer.end();
  },
  expected: index < 6
    ? "refused: *"
    : index === 6
    ? "opened lost"
    : 'opened "hello" lost',
}));

export const tls: HostileCase[] = [
  {
    name: "that speaks no TLS and falls silent",
    serve: async (peer) => void await peer.waitForEnd(),
    secure: true,
    options: { handshakeTimeout: "200ms" },
    keepsOpen: {
      direct: "Deno cannot cut a connection within its TLS handshake",
    },
    expected: "timeout",
  },
  {
    name: "that answers TLS in HTTP",
    serve: async (peer) => {
      await peer.write("HTTP/1.1 400 Bad Request\r\n\r\n");
      await peer.waitForEnd();
    },
    secure: true,
    expected: "refused: *",
  },
  {
    name: "that leaves within the TLS handshake",
    serve: async (peer) => {
      await peer.conn.read(new Uint8Array(50));
      peer.end();
    },
    secure: true,
    expected: "refused: *",
  },
  {
    name: "that answers TLS with noise without end",
    serve: async (peer) => {
      while (true) await peer.write(new Uint8Array(16384).fill(0x16));
    },
    secure: true,
    expected: "refused: *",
  },
];
