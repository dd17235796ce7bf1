import { assertEquals, assertThrows } from "@std/assert";
import { ProtocolError } from "../../src/websocket/protocol_error.ts";
import {
  checkText,
  decodeText,
  isText,
  loadTextCheck,
  Utf8Checker,
} from "../../src/websocket/utf8.ts";

const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Every sequence of at most three bytes out of those at which a rule of RFC 3629 changes, alone and before "a". */
function* sequences(): Generator<Uint8Array> {
  const edges = [
    ...[0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2],
    ...[0xdf, 0xe0, 0xed, 0xee, 0xf0, 0xf4, 0xf5],
  ];
  for (const a of edges) {
    yield new Uint8Array([a]);
    for (const b of edges) {
      yield new Uint8Array([a, b]);
      for (const c of edges) {
        yield new Uint8Array([a, b, c]);
        yield new Uint8Array([a, b, c, 0x80]);
        yield new Uint8Array([a, b, c, 0x61]);
      }
    }
  }
}

/** The text; `null` if the bytes are not UTF-8. */
function decode(bytes: Uint8Array): string | null {
  try {
    return STRICT.decode(bytes);
  } catch {
    return null;
  }
}

Deno.test("decodeText(), isText() and Utf8Checker agree with a strict decoder", async () => {
  for (const isLoaded of [false, true]) {
    if (isLoaded) await loadTextCheck();
    for (const bytes of sequences()) {
      const text = decode(bytes);
      const checker = new Utf8Checker();
      const isValid = checker.push(bytes.subarray(0, 1)) &&
        checker.push(bytes.subarray(1)) && checker.isComplete;
      if (isText(bytes) !== (text !== null) || isValid !== (text !== null)) {
        throw new Error(`${bytes}: ${isText(bytes)}, ${isValid}, ${text}`);
      }
      if (isLoaded) continue;
      if (text === null) assertThrows(() => decodeText(bytes), ProtocolError);
      else if (decodeText(bytes) !== text) throw new Error(`${bytes}`);
    }
  }
});

Deno.test("decodeText() keeps a byte order mark, and U+FFFD itself", () => {
  const text = "\ufeffa\ufffd";
  const bytes = new TextEncoder().encode(text);
  assertEquals(decodeText(bytes), text);
  checkText(bytes);
});

Deno.test("checkText() refuses what is not UTF-8 with 1007", () => {
  const error = assertThrows(
    () => checkText(new Uint8Array([0xff])),
    ProtocolError,
  );
  assertEquals(error.code, 1007);
});

Deno.test("Utf8Checker starts anew after reset()", () => {
  const checker = new Utf8Checker();
  checker.push(new Uint8Array([0xe0]));
  assertEquals(checker.isComplete, false);
  checker.reset();
  assertEquals(checker.push(new Uint8Array([0x61])), true);
});
