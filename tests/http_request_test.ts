import { assertEquals } from "@std/assert";
import { acceptFor, createKey } from "../src/http/key.ts";
import { requestHeaders, socketHeaders } from "../src/http/request.ts";
import { parseTarget } from "../src/http/target.ts";

Deno.test("createKey() gives 16 bytes in base64, each time others", () => {
  const keys = Array.from({ length: 100 }, createKey);
  assertEquals(new Set(keys).size, 100);
  for (const key of keys) assertEquals(atob(key).length, 16);
});

Deno.test("acceptFor() answers the key of RFC 6455 section 1.3", () => {
  assertEquals(
    acceptFor("dGhlIHNhbXBsZSBub25jZQ=="),
    "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
  );
});

Deno.test("requestHeaders() has what RFC 6455 section 4.1 asks for, and the caller's", () => {
  const target = parseTarget("ws://a.invalid/", ["b", "a"], { "X-One": "1" });
  assertEquals(requestHeaders(target, "key"), {
    "Accept-Encoding": "identity",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "key",
    "Sec-WebSocket-Protocol": "b, a",
    "Sec-WebSocket-Version": "13",
    "Upgrade": "websocket",
    "User-Agent": navigator.userAgent,
    "X-One": "1",
  });
  const own = requestHeaders(
    parseTarget("ws://a.invalid/", [], [
      ["accept-encoding", "gzip"],
      ["__proto__", "1"],
      ["X-Two", "1"],
      ["X-Two", "2"],
    ]),
    "key",
  );
  assertEquals(own["Accept-Encoding"], "gzip");
  assertEquals(Object.getOwnPropertyDescriptor(own, "__proto__")?.value, "1");
  assertEquals(own["X-Two"], "1, 2");
  assertEquals("Sec-WebSocket-Protocol" in own, false);
});

Deno.test("socketHeaders() has what Deno's WebSocket sends: both User-Agents, and no key", () => {
  const headers = socketHeaders(
    parseTarget("ws://a.invalid/", "a", { "User-Agent": "mine" }),
  );
  assertEquals(headers.get("user-agent"), `${navigator.userAgent}, mine`);
  assertEquals(headers.get("sec-websocket-key"), null);
  assertEquals(headers.get("accept-encoding"), null);
  assertEquals(headers.get("sec-websocket-protocol"), "a");
});
