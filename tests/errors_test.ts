import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import {
  BinaryMessageError,
  BufferOverflowError,
  ConnectionClosedError,
  HandshakeError,
  HandshakeResponse,
} from "@wstap/wstap";
import { printable } from "../src/text.ts";

const ERRORS = {
  HandshakeError: new HandshakeError("refused", {
    url: "ws://example.invalid/?token=secret",
  }),
  ConnectionClosedError: new ConnectionClosedError("lost", {
    code: 1006,
    reason: "",
    clean: false,
  }),
  BufferOverflowError: new BufferOverflowError({ messages: 3, bytes: 100 }),
  BinaryMessageError: new BinaryMessageError(new Uint8Array([0xff])),
};

for (const [name, error] of Object.entries(ERRORS)) {
  Deno.test(`${name} is an Error with the name of its class`, () => {
    assertInstanceOf(error, Error);
    assertEquals(error.name, name);
    assertEquals(error.constructor.name, name);
    assertEquals(error.toString(), `${name}: ${error.message}`);
    assert(error.stack?.includes(error.message));
  });
}

Deno.test("HandshakeError has the URL, the response and the cause", () => {
  const response = new HandshakeResponse({
    url: "ws://example.invalid/",
    status: 404,
    statusText: "Not Found",
    headers: new Headers(),
    source: "preflight",
  });
  const cause = new Error("why");
  const error = new HandshakeError("refused", {
    url: "ws://example.invalid/",
    response,
    cause,
  });
  assertEquals(error.url, "ws://example.invalid/");
  assertEquals(error.response, response);
  assertEquals(error.cause, cause);
  assertEquals("cause" in ERRORS.HandshakeError, false);
  assertEquals(ERRORS.HandshakeError.response, undefined);
});

Deno.test("HandshakeError that is printed whole shows neither the query nor the response's headers", () => {
  const error = new HandshakeError("refused", {
    url: "ws://example.invalid/?token=secret",
    response: new HandshakeResponse({
      url: "ws://example.invalid/?token=secret",
      status: 404,
      statusText: "Not Found",
      headers: new Headers({ "set-cookie": "session=secret" }),
      source: "preflight",
    }),
  });
  assertEquals(Deno.inspect(error, { depth: 10 }).includes("secret"), false);
  assertEquals(JSON.stringify(error).includes("secret"), false);
});

Deno.test("ConnectionClosedError has the code and the reason, and whether it was clean", () => {
  const error = new ConnectionClosedError("closed", {
    code: 4001,
    reason: "bye",
    clean: true,
    cause: "why",
  });
  assertEquals(
    [error.code, error.reason, error.clean, error.cause],
    [4001, "bye", true, "why"],
  );
});

Deno.test("BufferOverflowError has the limit and says what to do", () => {
  const limit = { messages: 3, bytes: 100 };
  const error = new BufferOverflowError(limit);
  limit.messages = 5;
  assertEquals(error.limit, { messages: 3, bytes: 100 });
  for (const part of ["3", "100", "maxBuffer", "drop-oldest"]) {
    assert(error.message.includes(part), error.message);
  }
});

Deno.test("BufferOverflowError names no limit that there is not", () => {
  const error = new BufferOverflowError({ messages: Infinity, bytes: 100 });
  assert(!error.message.includes("Infinity"), error.message);
  assert(error.message.includes("100 bytes"), error.message);
});

Deno.test("BinaryMessageError has the bytes", () => {
  const data = new Uint8Array([1, 0xff, 3]);
  const error = new BinaryMessageError(data);
  assertEquals(error.data, data);
  assert(error.message.includes("3 bytes"), error.message);
});

Deno.test("printable() makes control characters visible and leaves the rest", () => {
  const texts: [string, string][] = [
    ["plain text, ünïcödé 😀", "plain text, ünïcödé 😀"],
    ["\x1b[31mred", "\\u001b[31mred"],
    ["a\r\nb\0", "a\\u000d\\u000ab\\u0000"],
    ["\x7f\x9b", "\\u007f\\u009b"],
    ["\u202eabc\u2028", "\\u202eabc\\u2028"],
  ];
  for (const [text, expected] of texts) {
    assertEquals(printable(text), expected);
  }
});
