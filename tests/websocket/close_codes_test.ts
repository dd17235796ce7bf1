import { assertEquals, assertThrows } from "@std/assert";
import {
  closePayload,
  isCloseCode,
  parseClose,
} from "../../src/websocket/close_codes.ts";
import { ProtocolError } from "../../src/websocket/protocol_error.ts";

Deno.test("isCloseCode() accepts the codes that may be sent, and no other", () => {
  const codes = [];
  for (let code = 0; code < 65536; code++) {
    if (isCloseCode(code)) codes.push(code);
  }
  const registered = [
    1000,
    1001,
    1002,
    1003,
    1007,
    1008,
    1009,
    1010,
    1011,
    1012,
    1013,
    1014,
  ];
  assertEquals(codes.slice(0, registered.length), registered);
  assertEquals(
    codes.slice(registered.length),
    Array.from({ length: 2000 }, (_, i) => 3000 + i),
  );
});

Deno.test("parseClose() reads what closePayload() writes", () => {
  for (
    const [code, reason] of [[1000, ""], [4999, "bye"], [
      3000,
      "€".repeat(41),
    ]] as const
  ) {
    assertEquals(parseClose(closePayload(code, reason)), [code, reason]);
  }
  assertEquals(parseClose(closePayload(undefined, "unused")), [1005, ""]);
});

Deno.test("closePayload() cuts a reason after 123 bytes, between two characters", () => {
  const payload = closePayload(1000, "€".repeat(42));
  assertEquals(parseClose(payload), [1000, "€".repeat(41)]);
});

Deno.test("parseClose() refuses half a code, and a reason that is not UTF-8", () => {
  const half = assertThrows(
    () => parseClose(new Uint8Array([3])),
    ProtocolError,
  );
  assertEquals(half.code, 1002);
  const text = assertThrows(
    () => parseClose(new Uint8Array([3, 232, 0xff])),
    ProtocolError,
  );
  assertEquals(text.code, 1007);
  assertEquals(text.message, "the reason of a close frame is not UTF-8");
});
