import { assertEquals } from "@std/assert";
import { sha1 } from "../src/http/sha1.ts";

Deno.test("sha1() digests bytes of every length as WebCrypto does", async () => {
  for (let length = 0; length < 260; length++) {
    const message = crypto.getRandomValues(new Uint8Array(length));
    const expected = await crypto.subtle.digest("SHA-1", message);
    assertEquals(sha1(message), new Uint8Array(expected), `${message}`);
  }
});
