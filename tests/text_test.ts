import { assertEquals } from "@std/assert";
import { decodeLatin1, encodeLatin1 } from "../src/text.ts";

Deno.test("decodeLatin1() gives each byte a character of its own, encodeLatin1() gives it back", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  const text = decodeLatin1(bytes);
  assertEquals(text.length, 256);
  assertEquals([...text].map((character) => character.codePointAt(0)), [
    ...bytes,
  ]);
  assertEquals(encodeLatin1(text), bytes);
  assertEquals(decodeLatin1(new Uint8Array()), "");
});
