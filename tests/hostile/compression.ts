/**
 * Servers that agree to compression, and what only then can go wrong (RFC 7692).
 *
 * @module
 */

import { constants, deflateRawSync } from "node:zlib";
import { closePayload, frame } from "../fixtures/raw.ts";
import { behave, type HostileCase } from "./hostile.ts";

/** The most bytes that a message may have. */
const MAX_MESSAGE = 64 * 1024 * 1024;

const HELLO = frame(1, "hello");
const BYE = frame(8, closePayload(1000));
const HELLO_LOST = `opened "hello" lost`;

/** Compresses a message without the context of another (RFC 7692 section 7.2.1). */
function deflate(data: string | Uint8Array): Uint8Array {
  const options = { finishFlush: constants.Z_SYNC_FLUSH };
  return new Uint8Array(deflateRawSync(data, options)).subarray(0, -4);
}

/** A frame whose reserved bit 1 says that its message is compressed. */
function compressed(opcode: number, payload: Uint8Array, fin = true) {
  return frame(opcode, payload, { rsv: 4, fin });
}

/** "hello hello hello" compressed, and once more as a reference to the first. */
const THRICE = deflate("hello hello hello");
const AGAIN = new Uint8Array([0x42, 0x62, 0x42, 0x48, 0, 0]);

/** A server that agrees to compression, sends frames, and then behaves. */
function deflates(
  name: string,
  frames: Uint8Array[],
  expected: string,
  agreed = "permessage-deflate",
): HostileCase {
  return {
    name,
    serve: async (peer) => {
      await peer.readHead();
      await peer.upgrade({ headers: { "Sec-WebSocket-Extensions": agreed } });
      for (const bytes of frames) await peer.write(bytes);
      await behave(peer);
    },
    options: { compression: true, binary: "bytes" },
    captures: ["direct"],
    expected,
  };
}

export const compression: HostileCase[] = [
  ...[1, 2, 3, 5, 6, 7].map((rsv) =>
    deflates(
      `that agrees to compression and sets the reserved bits ${rsv}`,
      [HELLO, frame(1, THRICE, { rsv }), HELLO],
      HELLO_LOST,
    )
  ),
  deflates(
    "that says of a continuation that it is compressed",
    [HELLO, compressed(1, THRICE, false), compressed(0, new Uint8Array())],
    HELLO_LOST,
  ),
  deflates(
    "that says of the continuation of a plain message that it is compressed",
    [HELLO, frame(1, "a", { fin: false }), compressed(0, THRICE)],
    HELLO_LOST,
  ),
  ...[8, 9, 10].map((opcode) =>
    deflates(
      `that says of a control frame with the opcode ${opcode} that it is compressed`,
      [HELLO, compressed(opcode, deflate("")), HELLO],
      HELLO_LOST,
    )
  ),
  deflates(
    "that puts control frames between the fragments of a compressed message, as it may",
    [
      compressed(1, THRICE.subarray(0, 3), false),
      frame(9, "1"),
      frame(0, THRICE.subarray(3, 5), { fin: false }),
      frame(10, "2"),
      frame(0, THRICE.subarray(5)),
      BYE,
    ],
    `opened "hello hello hello" closed 1000 ""`,
  ),
  deflates(
    "that mixes compressed messages and plain ones, as it may",
    [HELLO, compressed(1, THRICE), HELLO, compressed(1, AGAIN), BYE],
    `opened "hello" "hello hello hello" "hello" "hello hello hello" closed 1000 ""`,
  ),
  deflates(
    "that refers back to an earlier message though it said that it would not",
    [compressed(1, THRICE), compressed(1, AGAIN)],
    `opened "hello hello hello" lost`,
    "permessage-deflate; server_no_context_takeover",
  ),
  deflates(
    "that compresses messages of no bytes",
    [compressed(1, deflate("")), compressed(2, new Uint8Array()), BYE],
    `opened "" bytes[0] closed 1000 ""`,
  ),
  deflates(
    "that sends noise for a compressed message",
    [HELLO, compressed(2, new Uint8Array(100).fill(0xff)), HELLO],
    HELLO_LOST,
  ),
  deflates(
    "that compresses text which is not UTF-8",
    [HELLO, compressed(1, deflate(new Uint8Array([0x61, 0xff]))), HELLO],
    HELLO_LOST,
  ),
  deflates(
    "that compresses text which ends within a character",
    [HELLO, compressed(1, deflate(new Uint8Array([0xe2, 0x82]))), HELLO],
    HELLO_LOST,
  ),
  deflates(
    "that compresses 64 MiB, the most there may be",
    [compressed(2, deflate(new Uint8Array(MAX_MESSAGE))), BYE],
    `opened bytes[${MAX_MESSAGE}] closed 1000 ""`,
  ),
  deflates(
    "that compresses 64 MiB and a byte",
    [HELLO, compressed(2, deflate(new Uint8Array(MAX_MESSAGE + 1))), HELLO],
    HELLO_LOST,
  ),
  deflates(
    "that compresses 64 MiB and a byte in two fragments",
    (() => {
      const bomb = deflate(new Uint8Array(MAX_MESSAGE + 1));
      return [
        HELLO,
        compressed(2, bomb.subarray(0, 1000), false),
        frame(0, bomb.subarray(1000)),
        HELLO,
      ];
    })(),
    HELLO_LOST,
  ),
];
