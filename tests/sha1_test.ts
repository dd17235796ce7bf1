import { assertEquals } from "@std/assert";
import { sha1 } from "../src/handshake/sha1.ts";

Deno.test("sha1() digests the examples of FIPS 180-4", () => {
  const hex = (text: string) =>
    [...sha1(new TextEncoder().encode(text))]
      .map((byte) => byte.toString(16).padStart(2, "0")).join("");
  assertEquals(hex("abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
  assertEquals(
    hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
    "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
  );
});

Deno.test("sha1() digests bytes of every length as WebCrypto does", async () => {
  for (let length = 0; length < 260; length++) {
    const message = crypto.getRandomValues(new Uint8Array(length));
    const expected = await crypto.subtle.digest("SHA-1", message);
    assertEquals(sha1(message), new Uint8Array(expected), `${message}`);
  }
});
