import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import {
  BinaryMessageError,
  BufferOverflowError,
  ConnectionClosedError,
  HandshakeError,
  HandshakeResponse,
} from "@wstap/wstap";

const url = "ws://example.invalid/?token=secret";
const cause = new Error("why");
const data = new Uint8Array([1, 0xff, 3]);

function response(status: number): HandshakeResponse {
  return new HandshakeResponse({
    url,
    status,
    statusText: "",
    headers: new Headers({ "set-cookie": "session=secret" }),
    source: "preflight",
  });
}

const refusal = response(404);

/** Each error, and what it has. */
const ERRORS: [error: Error, properties: Record<string, unknown>][] = [
  [new HandshakeError("gone", { url }), { url, response: undefined }],
  [
    new HandshakeError("refused", { url, response: refusal, cause }),
    { url, response: refusal, cause },
  ],
  [
    new ConnectionClosedError("lost", {
      code: 4001,
      reason: "bye",
      clean: true,
      cause,
    }),
    { code: 4001, reason: "bye", clean: true, cause },
  ],
  [
    new BufferOverflowError({ messages: 3, bytes: 100 }),
    { limit: { messages: 3, bytes: 100 } },
  ],
  [new BinaryMessageError(data), { data }],
];

for (const [error, properties] of ERRORS) {
  const { name } = error.constructor;
  const keys = Object.keys(properties);
  Deno.test(`${name} has its class's name, and ${keys.join(", ")}`, () => {
    assertInstanceOf(error, Error);
    assertEquals(error.toString(), `${name}: ${error.message}`);
    assert(error.stack?.includes(error.message));
    for (const [key, value] of Object.entries(properties)) {
      assertEquals(error[key as keyof Error], value as string);
    }
    assertEquals("cause" in error, "cause" in properties);
  });
}

Deno.test("HandshakeError that is printed whole shows neither the query nor the response's headers", () => {
  const [error] = ERRORS[1]!;
  const printed = Deno.inspect(error, { depth: 10 }) + JSON.stringify(error);
  assert(!printed.includes("secret"), printed);
});

Deno.test("HandshakeError is transient without an answer, and for 408, 425, 429 and 5xx", () => {
  const statuses = [400, 401, 404, 408, 410, 425, 426, 429, 499, 500, 503, 599];
  const transient = statuses.filter((status) =>
    new HandshakeError("", { url, response: response(status) }).transient
  );
  assertEquals(transient, [408, 425, 429, 500, 503, 599]);
  assert(new HandshakeError("", { url }).transient);
});

Deno.test("BufferOverflowError and BinaryMessageError say what happened and what to do", () => {
  const limit = { messages: Infinity, bytes: 100 };
  const error = new BufferOverflowError(limit);
  limit.bytes = 5;
  assertEquals(error.limit, { messages: Infinity, bytes: 100 });
  for (const part of ["buffer of 100 bytes:", "maxBuffer", "drop-oldest"]) {
    assert(error.message.includes(part), error.message);
  }
  const { message } = new BinaryMessageError(data);
  for (const part of ["of 3 bytes", `binary "bytes"`]) {
    assert(message.includes(part), message);
  }
});
