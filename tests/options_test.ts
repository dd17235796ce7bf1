import { assert, assertEquals, assertThrows } from "@std/assert";
import type { ConnectOptions } from "@wstap/wstap";
import { parseOptions } from "../src/options.ts";
import { certificates } from "./fixtures/certs.ts";

type BadOptions = [
  options: Record<string, unknown> | null,
  error: new () => Error,
  message: string,
];

const DIRECT = { capture: "direct" };
const PROXY = "http://127.0.0.1:3128";

const BAD_OPTIONS: BadOptions[] = [
  [{ closeTimeout: null }, TypeError, "Invalid duration null"],
  [{ handshakeTimeout: null }, TypeError, "Invalid duration null"],
  [{ messageTimeout: 0 }, RangeError, "Invalid messageTimeout"],
  [{ messageTimeout: "1" }, TypeError, "a unit is missing"],
  [{ heartbeat: "ping" }, TypeError, "Invalid heartbeat: expected an object"],
  [{ heartbeat: { interval: 1 } }, TypeError, "Invalid heartbeat.message"],
  [
    { heartbeat: { message: 5, interval: 1 } },
    TypeError,
    "Invalid heartbeat.message",
  ],
  [{ heartbeat: { message: "x" } }, TypeError, "Invalid duration undefined"],
  [
    { heartbeat: { message: "x", interval: 0 } },
    RangeError,
    "Invalid heartbeat.interval: expected more than 0",
  ],
  [
    { decode: false },
    TypeError,
    'Invalid decode: it needs capture "direct"',
  ],
  [
    { ...DIRECT, decode: "no" },
    TypeError,
    "Invalid decode: expected a boolean",
  ],
  [{ ...DIRECT, decode: false, binary: "text" }, TypeError, "Invalid binary"],
  [
    { maxMessage: 5 },
    TypeError,
    'Invalid maxMessage: it needs capture "direct"',
  ],
  [{ ...DIRECT, maxMessage: 0 }, RangeError, "Invalid maxMessage"],
  [{ ...DIRECT, maxMessage: 1.5 }, RangeError, "Invalid maxMessage"],
  [{ ...DIRECT, maxMessage: Infinity }, RangeError, "Invalid maxMessage"],
  [{ ...DIRECT, maxMessage: "5" }, TypeError, "expected a number, got string"],
  [{ http: [] }, TypeError, "Invalid http: expected an object, got an array"],
  [{ http: { caCerts: [5] } }, TypeError, "expected PEM text, got number"],
  [{ http: { cert: 5, key: "x" } }, TypeError, "Invalid http.cert"],
  [{ http: { proxy: {} } }, TypeError, `expected an object with a "url"`],
  [{ http: { proxy: PROXY } }, TypeError, "Invalid http.proxy"],
  [
    { http: { proxy: { url: "nonsense" } } },
    TypeError,
    "Invalid proxy in http.proxy",
  ],
  [{ http: { caCerts: ["nonsense"] } }, TypeError, "Invalid http.caCerts"],
  [
    { http: { cert: "nonsense", key: "x" } },
    TypeError,
    "Invalid http.cert: expected a certificate as PEM text",
  ],
  [
    { http: { proxy: { url: PROXY, basicAuth: { username: "me" } } } },
    TypeError,
    "Invalid http.proxy.basicAuth",
  ],
  [
    { http: { proxy: { transport: "tcp", hostname: "a", port: 1 } } },
    TypeError,
    "http.address",
  ],
  [
    { http: { proxy: { transport: "unix", path: "/s" } } },
    TypeError,
    "http.address",
  ],
  [
    { http: { proxy: { url: PROXY }, address: { path: "/s" } } },
    TypeError,
    '"address" and "proxy" exclude each other',
  ],
  [{ http: { address: {} } }, TypeError, "Invalid http.address"],
  [{ http: { address: { path: "" } } }, TypeError, "Invalid http.address"],
  [
    { http: { address: { path: "/s", hostname: "a", port: 1 } } },
    TypeError,
    "Invalid http.address",
  ],
  [
    { http: { address: { hostname: "a", port: 65536 } } },
    TypeError,
    "Invalid http.address",
  ],
  [
    { http: { unsafelyIgnoreCertificateErrors: true } },
    TypeError,
    'it needs capture "direct"',
  ],
  [
    { ...DIRECT, http: { unsafelyIgnoreCertificateErrors: 1 } },
    TypeError,
    "expected a boolean, got number",
  ],
];

for (const [options, ErrorClass, message] of BAD_OPTIONS) {
  const name = Deno.inspect(options, { breakLength: 100, depth: 9 });
  Deno.test(`parseOptions() refuses ${name}`, () => {
    assertThrows(
      () => parseOptions(options as ConnectOptions),
      ErrorClass,
      message,
    );
  });
}

Deno.test("parseOptions() never repeats the password of a proxy", () => {
  const proxy = {
    transport: "tcp",
    url: "http://me:hunter2@proxy/",
  } as unknown as Deno.Proxy;
  const error = assertThrows(
    () => parseOptions({ http: { proxy } }),
    TypeError,
  );
  assert(!error.message.includes("hunter2"), error.message);
});

Deno.test("parseOptions() takes options that no later change of the caller reaches", async () => {
  const { ca } = await certificates();
  const bytes = new Uint8Array([1, 2, 3]);
  const options = {
    capture: "direct",
    heartbeat: { message: bytes, interval: 1 },
    http: {
      caCerts: [ca],
      address: { hostname: "a", port: 1 },
    },
    maxBuffer: { messages: 5 },
  } satisfies ConnectOptions;
  const settings = parseOptions(options);
  bytes[0] = 9;
  options.heartbeat.interval = 2;
  options.http.caCerts[0] = "b";
  options.http.address.port = 2;
  options.maxBuffer.messages = 6;
  assertEquals(settings.heartbeat, {
    message: new Uint8Array([1, 2, 3]),
    interval: 1_000,
  });
  assertEquals(settings.http, {
    caCerts: [ca],
    address: { hostname: "a", port: 1 },
  });
  assertEquals(settings.limit.messages, 5);
});

Deno.test("parseOptions() reads each option once", () => {
  const reads: Record<PropertyKey, number> = {};
  const options: ConnectOptions = {
    capture: "direct",
    closeTimeout: 1,
    pingInterval: 1,
    pingTimeout: 1,
    maxMessage: 1,
    binary: "text",
  };
  parseOptions(
    new Proxy(options, {
      get(target, name) {
        reads[name] = (reads[name] ?? 0) + 1;
        return Reflect.get(target, name);
      },
    }),
  );
  for (const [name, count] of Object.entries(reads)) {
    assertEquals(count, 1, name);
  }
});

Deno.test("parseOptions() copies a proxy with its credentials", () => {
  const basicAuth = { username: "me", password: "secret" };
  const proxy = { url: PROXY, basicAuth };
  const settings = parseOptions({ http: { proxy } });
  basicAuth.password = "changed";
  proxy.url = "http://127.0.0.1:1";
  assertEquals(settings.http.proxy, {
    url: PROXY,
    basicAuth: { username: "me", password: "secret" },
  });
});
