/**
 * Servers that answer the handshake wrongly.
 *
 * @module
 */

import { acceptKey, type Peer } from "../fixtures/raw.ts";
import { behave, type HostileCase, native } from "./hostile.ts";

const encoder = new TextEncoder();

/** Writes a text, in which `{accept}` stands for the accept key, and ends. */
function says(text: string | ((peer: Peer) => string)) {
  return async (peer: Peer) => {
    await peer.readHead();
    const whole = typeof text === "string" ? text : text(peer);
    await peer.write(latin1(whole.replaceAll("{accept}", acceptKey(peer.key))));
    await leave(peer);
  };
}

/** Lets the client read what was written, and goes once it has gone. */
async function leave(peer: Peer): Promise<void> {
  await peer.conn.closeWrite();
  await peer.waitForEnd();
  peer.end();
}

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** Accepts the upgrade with other headers than it should, sends a message and closes. */
function upgrades(
  headers: Record<string, string | null>,
  more: { status?: string; extra?: string } = {},
) {
  return async (peer: Peer) => {
    await peer.readHead();
    await peer.upgrade({
      headers: Object.fromEntries(
        Object.entries(headers).map(([name, value]) => [
          name,
          value?.replaceAll("{accept}", acceptKey(peer.key)).replaceAll(
            "{key}",
            peer.key,
          ) ?? null,
        ]),
      ),
      ...more,
    });
    await peer.send("hello");
    await peer.closeFrame(1000);
    await behave(peer);
  };
}

/** Answers with a whole head and body that are said as they are. */
function answers(head: string, body: string | Uint8Array = "") {
  return async (peer: Peer) => {
    await peer.readHead();
    await peer.write(`HTTP/1.1 ${head}\r\n\r\n`);
    await peer.write(typeof body === "string" ? encoder.encode(body) : body);
    await leave(peer);
  };
}

async function gzip(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream()
    .pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const OPENED = `opened "hello" closed 1000 ""`;
const INVALID = "refused: the server's answer is not a valid upgrade: ";
const UPGRADE =
  "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n";

/** Fixed by 2.9.6, maybe before: a header that is not ASCII ended the process. */
const NOT_ASCII = {
  before: "2.9.6",
  why: "Deno itself panics at an extension that is not ASCII",
};

/** RFC 6455 section 4.1, what a client checks, broken one rule at a time. */
export const rules: HostileCase[] = [
  {
    name: "that breaks no rule",
    serve: upgrades({}),
    expected: OPENED,
  },
  {
    name: "that answers 200 to the upgrade",
    serve: says(`HTTP/1.1 200 OK\r\n${UPGRADE}Content-Length: 0\r\n\r\n`),
    expected: "refused: HTTP error: 200 OK",
  },
  {
    name: "that answers 401 with a challenge",
    serve: answers(
      '401 x\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 2',
      "no",
    ),
    expected: "refused: HTTP error: 401 Unauthorized; body of 2",
  },
  {
    name: "that answers 407",
    serve: answers("407 x\r\nContent-Length: 0"),
    expected: "refused: HTTP error: 407 Proxy Authentication Required",
  },
  {
    name: "that answers 426 with another version",
    serve: answers(
      "426 x\r\nSec-WebSocket-Version: 8, 7\r\nContent-Length: 0",
    ),
    expected: "refused: HTTP error: 426 Upgrade Required",
  },
  {
    name: "that answers with a status nobody knows",
    serve: answers("599 Whatever\r\nContent-Length: 0"),
    expected: "refused: HTTP error: 599",
  },
  {
    name: "without an Upgrade header",
    serve: upgrades({ "Upgrade": null }),
    expected: `${INVALID}its Upgrade header is missing instead of "websocket"`,
  },
  {
    name: "with an empty Upgrade header",
    serve: upgrades({ "Upgrade": "" }),
    expected: `${INVALID}its Upgrade header is "" instead of "websocket"`,
  },
  {
    name: "that upgrades to something else",
    serve: upgrades({ "Upgrade": "h2c" }),
    expected: `${INVALID}its Upgrade header is "h2c" instead of "websocket"`,
  },
  {
    name: "that upgrades to two things",
    serve: upgrades({ "Upgrade": "websocket, h2c" }),
    expected:
      `${INVALID}its Upgrade header is "websocket, h2c" instead of "websocket"`,
  },
  {
    name: "that writes its Upgrade header in capitals, as it may",
    serve: upgrades({ "Upgrade": "WEBSOCKET" }),
    expected: OPENED,
  },
  {
    name: "without a Connection header",
    serve: upgrades({ "Connection": null }),
    expected:
      `${INVALID}its Connection header is missing and does not list "upgrade"`,
  },
  {
    name: "whose Connection header says close",
    serve: upgrades({ "Connection": "close" }),
    expected:
      `${INVALID}its Connection header is "close" and does not list "upgrade"`,
  },
  {
    name: "whose Connection header only contains the word",
    serve: upgrades({ "Connection": "upgraded" }),
    expected:
      `${INVALID}its Connection header is "upgraded" and does not list "upgrade"`,
  },
  {
    name: "whose Connection header lists more, as it may",
    serve: upgrades({ "Connection": "keep-alive, Upgrade" }),
    expected: {
      ...native(
        `${INVALID}Deno's WebSocket wants its Connection header to be exactly "upgrade", and it is "keep-alive, Upgrade"; capture "direct" takes it`,
      ),
      direct: OPENED,
    },
  },
  {
    name: "whose Connection header is in capitals, as it may be",
    serve: upgrades({ "Connection": "UPGRADE" }),
    expected: OPENED,
  },
  {
    name: "without an accept key",
    serve: upgrades({ "Sec-WebSocket-Accept": null }),
    expected: {
      preflight:
        `${INVALID}its Sec-WebSocket-Accept header is missing and does not answer the key`,
      none: OPENED,
      direct:
        `${INVALID}its Sec-WebSocket-Accept header is missing and does not answer the key`,
    },
  },
  {
    name: "with an empty accept key",
    serve: upgrades({ "Sec-WebSocket-Accept": "" }),
    expected: {
      preflight:
        `${INVALID}its Sec-WebSocket-Accept header is "" and does not answer the key`,
      none: OPENED,
      direct:
        `${INVALID}its Sec-WebSocket-Accept header is "" and does not answer the key`,
    },
  },
  {
    name: "with an accept key that answers another key",
    serve: upgrades({ "Sec-WebSocket-Accept": acceptKey("another") }),
    expected: {
      preflight:
        `${INVALID}its Sec-WebSocket-Accept header is * and does not answer the key`,
      none: OPENED,
      direct:
        `${INVALID}its Sec-WebSocket-Accept header is * and does not answer the key`,
    },
  },
  {
    name: "that gives the key back as it came",
    serve: upgrades({ "Sec-WebSocket-Accept": "{key}" }),
    expected: {
      preflight:
        `${INVALID}its Sec-WebSocket-Accept header is * and does not answer the key`,
      none: OPENED,
      direct:
        `${INVALID}its Sec-WebSocket-Accept header is * and does not answer the key`,
    },
  },
  {
    name: "that gives the accept key twice",
    serve: upgrades({}, { extra: "Sec-WebSocket-Accept: x" }),
    expected: {
      preflight:
        `${INVALID}its Sec-WebSocket-Accept header is * and does not answer the key`,
      none: OPENED,
      direct:
        `${INVALID}its Sec-WebSocket-Accept header is * and does not answer the key`,
    },
  },
  {
    name: "with white space around the accept key, as it may",
    serve: upgrades({ "Sec-WebSocket-Accept": "  {accept} \t" }),
    expected: OPENED,
  },
  {
    name: "that chooses a subprotocol and was offered none",
    serve: upgrades({ "Sec-WebSocket-Protocol": "chat" }),
    expected:
      `${INVALID}it chose the subprotocol "chat", which was not offered`,
  },
  {
    name: "that chooses a subprotocol that was not offered",
    serve: upgrades({ "Sec-WebSocket-Protocol": "mqtt" }),
    options: { protocols: ["chat", "feed"] },
    expected:
      `${INVALID}it chose the subprotocol "mqtt", which was not offered`,
  },
  {
    name: "that chooses a subprotocol in other letters",
    serve: upgrades({ "Sec-WebSocket-Protocol": "CHAT" }),
    options: { protocols: ["chat"] },
    expected:
      `${INVALID}it chose a subprotocol that resembles an offered one, which was not offered`,
  },
  {
    name: "that chooses two subprotocols",
    serve: upgrades({ "Sec-WebSocket-Protocol": "chat, feed" }),
    options: { protocols: ["chat", "feed"] },
    expected:
      `${INVALID}it chose a subprotocol that resembles an offered one, which was not offered`,
  },
  {
    name: "that gives two subprotocol headers",
    serve: upgrades({ "Sec-WebSocket-Protocol": "chat" }, {
      extra: "Sec-WebSocket-Protocol: feed",
    }),
    options: { protocols: ["chat", "feed"] },
    expected: {
      preflight:
        `${INVALID}it chose a subprotocol that resembles an offered one, which was not offered`,
      none: OPENED,
      direct:
        `${INVALID}it chose a subprotocol that resembles an offered one, which was not offered`,
    },
  },
  {
    name: "that chooses none of the subprotocols, as it may",
    serve: upgrades({}),
    options: { protocols: ["chat", "feed"] },
    expected: OPENED,
  },
  {
    name: "that chooses an extension",
    serve: upgrades({ "Sec-WebSocket-Extensions": "permessage-deflate" }),
    expected:
      `${INVALID}it chose the extension "permessage-deflate", and none was offered`,
  },
  {
    name: "that chooses two extensions with parameters",
    serve: upgrades({
      "Sec-WebSocket-Extensions":
        'permessage-deflate; client_max_window_bits="9", x-webkit-deflate-frame',
    }),
    expected:
      `${INVALID}it chose the extension "permessage-deflate; client_max_window_bits="9", x-webkit-deflate-frame", and none was offered`,
  },
  {
    name: "with an extension of control characters",
    serve: upgrades({ "Sec-WebSocket-Extensions": "\u009b31m\u009d" }),
    panics: NOT_ASCII,
    expected: {
      preflight:
        `${INVALID}it chose the extension "Â\\u009b31mÂ\\u009d", and none was offered`,
      none: OPENED,
      direct:
        `${INVALID}it chose the extension "Â\\u009b31mÂ\\u009d", and none was offered`,
    },
  },
];

/** Heads that are not HTTP/1.1, too large, or made to be misread. */
export const heads: HostileCase[] = [
  {
    name: "that speaks HTTP/1.0",
    serve: upgrades({}, { status: "HTTP/1.0 101 Switching Protocols" }),
    expected: {
      ...native(OPENED),
      direct: `${INVALID}it speaks HTTP/1.0, not HTTP/1.1`,
    },
  },
  {
    name: "that speaks HTTP/1.2",
    serve: upgrades({}, { status: "HTTP/1.2 101 Switching Protocols" }),
    expected: {
      ...native("refused: *"),
      direct: `${INVALID}it does not begin with an HTTP/1.1 status line`,
    },
  },
  {
    name: "that speaks HTTP/2.0 in a status line",
    serve: upgrades({}, { status: "HTTP/2.0 101 Switching Protocols" }),
    expected: {
      ...native("refused: *"),
      direct: `${INVALID}it does not begin with an HTTP/1.1 status line`,
    },
  },
  {
    name: "that speaks HTTP/2 frames",
    serve: says("\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64"),
    expected: {
      ...native("refused: *"),
      direct:
        `${INVALID}it does not begin with an HTTP/1.1 status line (it looks like HTTP/2, where HTTP/1.1 is needed)`,
    },
  },
  {
    name: "that speaks HTTP/0.9",
    serve: says("<html>hello</html>"),
    expected: {
      ...native("refused: *"),
      direct:
        `${INVALID}it does not begin with an HTTP/1.1 status line (it looks like HTML without a head)`,
    },
  },
  {
    name: "that writes http in small letters",
    serve: says(`http/1.1 101 Switching Protocols\r\n${UPGRADE}\r\n`),
    expected: {
      ...native("refused: *"),
      direct: `${INVALID}it does not begin with an HTTP/1.1 status line`,
    },
  },
  {
    name: "without a status code",
    serve: says(`HTTP/1.1 \r\n${UPGRADE}\r\n`),
    expected: {
      ...native("refused: *"),
      direct: `${INVALID}it does not begin with an HTTP/1.1 status line`,
    },
  },
  {
    name: "with a status code of two digits",
    serve: says(`HTTP/1.1 10 Switching Protocols\r\n${UPGRADE}\r\n`),
    expected: {
      ...native("refused: *"),
      direct: `${INVALID}it does not begin with an HTTP/1.1 status line`,
    },
  },
  {
    name: "with a status code of four digits",
    serve: says(`HTTP/1.1 1010 Switching Protocols\r\n${UPGRADE}\r\n`),
    expected: {
      ...native("refused: *"),
      direct: `${INVALID}it does not begin with an HTTP/1.1 status line`,
    },
  },
  {
    name: "with the status code 000",
    serve: says(`HTTP/1.1 000 Nothing\r\n${UPGRADE}\r\n`),
    expected: {
      ...native("refused: *"),
      direct: `${INVALID}it does not begin with an HTTP/1.1 status line`,
    },
  },
  {
    name: "without a reason phrase, as it may",
    serve: upgrades({}, { status: "HTTP/1.1 101" }),
    expected: OPENED,
  },
  {
    name: "with terminal sequences in the reason phrase",
    serve: says(
      "HTTP/1.1 404 \x1b[2J\x1b]0;owned\x07\r\nContent-Length: 0\r\n\r\n",
    ),
    expected: {
      ...native("refused: *"),
      direct: "refused: HTTP error: 404 Not Found",
    },
  },
  {
    name: "with terminal sequences in a header that messages quote",
    serve: upgrades({ "Upgrade": "\u009b2J\u0085owned" }),
    expected:
      `${INVALID}its Upgrade header is "Â\\u009b2JÂ\\u0085owned" instead of "websocket"`,
  },
  {
    name: "that greets like a mail server",
    serve: says("220 mail.example.com ESMTP\r\n"),
    expected: {
      ...native("refused: *"),
      direct:
        `${INVALID}it does not begin with an HTTP/1.1 status line (it looks like SMTP or FTP)`,
    },
  },
  {
    name: "that greets like SSH",
    serve: says("SSH-2.0-OpenSSH_9.9\r\n"),
    expected: {
      ...native("refused: *"),
      direct:
        `${INVALID}it does not begin with an HTTP/1.1 status line (it looks like SSH)`,
    },
  },
  {
    name: "that answers with a TLS alert",
    serve: says("\x15\x03\x01\0\x02\x02\x46"),
    expected: {
      ...native("refused: *"),
      direct:
        `${INVALID}it does not begin with an HTTP/1.1 status line (it looks like TLS); the URL may need wss: in place of ws:`,
    },
  },
  {
    name: "that answers with nothing",
    serve: says(""),
    expected:
      "refused: the server closed the connection without an answer (connection closed before message completed): " +
      "if it speaks TLS at this port, the URL needs wss: in place of ws:",
  },
  {
    name: "that begins with empty lines",
    serve: says(`\r\n\r\nHTTP/1.1 101 X\r\n${UPGRADE}\r\n`),
    expected: {
      ...native("opened lost"),
      direct: `${INVALID}it does not begin with an HTTP/1.1 status line`,
    },
  },
  {
    name: "that ends its lines with a line feed alone, as is tolerated",
    serve: async (peer) => {
      await peer.readHead();
      const head = `HTTP/1.1 101 X\r\n${UPGRADE}\r\n`;
      await peer.write(
        head.replaceAll("\r", "").replace("{accept}", acceptKey(peer.key)),
      );
      await peer.send("hello");
      await peer.closeFrame(1000);
      await behave(peer);
    },
    expected: OPENED,
  },
  {
    name: "that ends its lines with a carriage return alone",
    serve: says(`HTTP/1.1 101 X\r\n${UPGRADE}\r\n`.replaceAll("\n", "")),
    expected: {
      ...native("refused: *"),
      direct: `${INVALID}its head breaks off`,
    },
  },
  {
    name: "with a carriage return in a header value",
    serve: says(`HTTP/1.1 101 X\r\n${UPGRADE}X: a\rSet-Cookie: b\r\n\r\n`),
    expected: {
      ...native("refused: *"),
      direct: `${INVALID}it has a malformed header`,
    },
  },
  {
    name: "with a NUL in a header value",
    serve: says(`HTTP/1.1 101 X\r\n${UPGRADE}X: a\0b\r\n\r\n`),
    expected: {
      ...native("refused: *"),
      direct: `${INVALID}it has a malformed header`,
    },
  },
  {
    name: "with an escape sequence in a header value",
    serve: says(`HTTP/1.1 101 X\r\n${UPGRADE}X: \x1b[2J\r\n\r\n`),
    expected: {
      ...native("refused: *"),
      direct: `${INVALID}it has a malformed header`,
    },
  },
  {
    name: "with a NUL in a header name",
    serve: says(`HTTP/1.1 101 X\r\n${UPGRADE}X\0Y: a\r\n\r\n`),
    expected: {
      ...native("refused: *"),
      direct: `${INVALID}it has a malformed header`,
    },
  },
  {
    name: "with a space before the colon of a header",
    serve: says(
      `HTTP/1.1 101 X\r\n${UPGRADE.replace("Upgrade:", "Upgrade :")}\r\n`,
    ),
    expected: {
      ...native("refused: *"),
      direct: `${INVALID}it has a malformed header`,
    },
  },
  {
    name: "that folds a header over two lines",
    serve: says(
      `HTTP/1.1 101 X\r\n${UPGRADE.replace("Upgrade: ", "Upgrade:\r\n ")}` +
        "\r\n\x81\x05hello\x88\x02\x03\xe8",
    ),
    expected: { ...native("refused: *"), direct: OPENED },
  },
  {
    name: "with a header that has no name",
    serve: says(`HTTP/1.1 101 X\r\n${UPGRADE}: a\r\n\r\n`),
    expected: {
      ...native("refused: *"),
      direct: `${INVALID}it has a malformed header`,
    },
  },
  {
    name: "with a header that has no colon",
    serve: says(`HTTP/1.1 101 X\r\n${UPGRADE}nothing\r\n\r\n`),
    expected: {
      ...native("refused: *"),
      direct: `${INVALID}it has a malformed header`,
    },
  },
  {
    name: "with a head of 60 KiB",
    serve: upgrades({ "X": "x".repeat(60 * 1024) }),
    expected: OPENED,
  },
  {
    name: "with a head of just over 64 KiB",
    serve: upgrades({ "X": "x".repeat(64 * 1024) }),
    expected: {
      ...native(OPENED),
      direct: `${INVALID}its head is larger than 64 KiB`,
    },
  },
  {
    name: "with a head of 1 MiB",
    serve: upgrades({ "X": "x".repeat(1024 * 1024) }),
    expected: {
      ...native("refused: *"),
      direct: `${INVALID}its head is larger than 64 KiB`,
    },
  },
  {
    name: "with a head of 1 MiB in 10,000 headers",
    serve: upgrades({}, {
      extra: Array.from(
        { length: 10_000 },
        (_, i) => `X-${i}: ${"x".repeat(96)}`,
      ).join("\r\n"),
    }),
    expected: {
      ...native("refused: *"),
      direct: `${INVALID}its head is larger than 64 KiB`,
    },
  },
  {
    name: "with a status line of 1 MiB",
    serve: says(`HTTP/1.1 101 ${"x".repeat(1024 * 1024)}\r\n${UPGRADE}\r\n`),
    expected: {
      ...native("refused: *"),
      direct: `${INVALID}its head is larger than 64 KiB`,
    },
  },
  {
    name: "that sends a head without end",
    serve: async (peer) => {
      await peer.readHead();
      const line = latin1(`X: ${"x".repeat(1021)}`);
      await peer.write("HTTP/1.1 101 X\r\n");
      for (let sent = 0; sent < 16 * 1024; sent++) await peer.write(line);
    },
    expected: {
      ...native("refused: *"),
      direct: `${INVALID}its head is larger than 64 KiB`,
    },
  },
  {
    name: "that sends its head byte by byte, one each 20 ms",
    serve: async (peer) => {
      await peer.readHead();
      for (const byte of encoder.encode(`HTTP/1.1 101 X\r\n${UPGRADE}\r\n`)) {
        await peer.write(new Uint8Array([byte]));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    options: { handshakeTimeout: "300ms" },
    expected: "timeout",
  },
  {
    name: "with a 103 before the 101, as it may",
    serve: async (peer) => {
      await peer.readHead();
      await peer.write("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
      await peer.upgrade();
      await peer.send("hello");
      await peer.closeFrame(1000);
      await behave(peer);
    },
    expected: OPENED,
  },
  {
    name: "with a hundred 100s before the 101",
    serve: async (peer) => {
      await peer.readHead();
      await peer.write("HTTP/1.1 100 Continue\r\n\r\n".repeat(100));
      await peer.upgrade();
      await peer.send("hello");
      await peer.closeFrame(1000);
      await behave(peer);
    },
    expected: OPENED,
  },
  {
    name: "that sends 100s without end",
    serve: async (peer) => {
      await peer.readHead();
      const flood = encoder.encode("HTTP/1.1 100 Continue\r\n\r\n".repeat(100));
      while (true) await peer.write(flood);
    },
    options: { handshakeTimeout: "1s" },
    expected: {
      ...native("timeout"),
      direct: `${INVALID}its head is larger than 64 KiB`,
    },
  },
  {
    name: "that answers 102 and nothing more",
    serve: async (peer) => {
      await peer.readHead();
      await peer.write("HTTP/1.1 102 Processing\r\n\r\n");
      await peer.waitForEnd();
    },
    options: { handshakeTimeout: "200ms" },
    expected: "timeout",
  },
  {
    name: "that answers 101 twice",
    serve: async (peer) => {
      await peer.readHead();
      await peer.upgrade();
      await peer.upgrade();
      await behave(peer);
    },
    expected: "opened lost",
  },
  {
    name: "that gives its 101 a length",
    serve: upgrades({ "Content-Length": "5" }),
    expected: OPENED,
  },
  {
    name: "that gives its 101 a chunked body",
    serve: upgrades({ "Transfer-Encoding": "chunked" }),
    expected: OPENED,
  },
  {
    name: "that gives its 101 an encoding",
    serve: upgrades({ "Content-Encoding": "gzip" }),
    expected: OPENED,
  },
];

/** Refusals whose bodies are not what their heads say. */
export const bodies: HostileCase[] = [
  {
    name: "whose body is shorter than its length says",
    serve: answers("503 x\r\nContent-Length: 100", "short"),
    expected: "refused: HTTP error: 503 Service Unavailable; body of 5",
  },
  {
    name: "whose body is longer than its length says",
    serve: answers("503 x\r\nContent-Length: 5", "longer than that"),
    expected: "refused: HTTP error: 503 Service Unavailable; body of 5",
  },
  {
    name: "with a negative length",
    serve: answers("503 x\r\nContent-Length: -5", "hello"),
    expected: {
      ...native("refused: *"),
      direct: "refused: HTTP error: 503 Service Unavailable; body of 5",
    },
  },
  {
    name: "with a length that is no number",
    serve: answers("503 x\r\nContent-Length: many", "hello"),
    expected: {
      ...native("refused: *"),
      direct: "refused: HTTP error: 503 Service Unavailable; body of 5",
    },
  },
  {
    name: "with a length beyond all numbers",
    serve: answers(`503 x\r\nContent-Length: ${"9".repeat(30)}`, "hello"),
    expected: {
      ...native("refused: *"),
      direct: "refused: HTTP error: 503 Service Unavailable; body of 5",
    },
  },
  {
    name: "with two lengths",
    serve: answers(
      "503 x\r\nContent-Length: 5\r\nContent-Length: 7",
      "hello!!",
    ),
    expected: {
      ...native("refused: *"),
      direct: "refused: HTTP error: 503 Service Unavailable; body of 7",
    },
  },
  {
    name: "with a length and chunks",
    serve: answers(
      "503 x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked",
      "5\r\nhello\r\n0\r\n\r\n",
    ),
    expected: "refused: HTTP error: 503 Service Unavailable; body of 5",
  },
  {
    name: "whose chunks are none",
    serve: answers("503 x\r\nTransfer-Encoding: chunked", "hello"),
    expected: "refused: HTTP error: 503 Service Unavailable",
  },
  {
    name: "with a chunk size beyond all numbers",
    serve: answers(
      "503 x\r\nTransfer-Encoding: chunked",
      `${"f".repeat(40)}\r\nhello`,
    ),
    expected: "refused: HTTP error: 503 Service Unavailable",
  },
  {
    name: "with a chunk that breaks off",
    serve: answers("503 x\r\nTransfer-Encoding: chunked", "ff\r\nhello"),
    expected: "refused: HTTP error: 503 Service Unavailable; body of 5",
  },
  {
    name: "with a chunk size line that never ends",
    serve: async (peer) => {
      await peer.readHead();
      await peer.write(
        "HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n5;",
      );
      while (true) await peer.write("x".repeat(16 * 1024));
    },
    options: { handshakeTimeout: "2s" },
    expected: "refused: HTTP error: 503 Service Unavailable",
  },
  {
    name: "with a body of 1 MiB",
    serve: answers(
      "503 x\r\nContent-Length: 1048576",
      "x".repeat(1024 * 1024),
    ),
    expected: "refused: HTTP error: 503 Service Unavailable; body of 65536",
  },
  {
    name: "with a body without end",
    serve: async (peer) => {
      await peer.readHead();
      await peer.write("HTTP/1.1 503 x\r\n\r\n");
      while (true) await peer.write("x".repeat(16 * 1024));
    },
    expected: "refused: HTTP error: 503 Service Unavailable; body of 65536",
  },
  {
    name: "with a body that stands still",
    serve: async (peer) => {
      await peer.readHead();
      await peer.write("HTTP/1.1 503 x\r\nContent-Length: 100\r\n\r\nhello");
      await peer.waitForEnd();
    },
    options: { handshakeTimeout: "2s" },
    expected: "refused: HTTP error: 503 Service Unavailable; body of 5",
  },
  {
    name: "with a gzip body that is none",
    serve: answers(
      "503 x\r\nContent-Encoding: gzip\r\nContent-Length: 5",
      "hello",
    ),
    options: { headers: { "Accept-Encoding": "gzip" } },
    expected: {
      ...native("refused: HTTP error: 503 Service Unavailable"), // fetch gives up on it
      direct: "refused: HTTP error: 503 Service Unavailable; body of 5",
    },
  },
  {
    name: "with a gzip body of 64 MiB",
    serve: async (peer) => {
      const bomb = await gzip(new Uint8Array(64 * 1024 * 1024));
      await answers(
        `503 x\r\nContent-Encoding: gzip\r\nContent-Length: ${bomb.length}`,
        bomb,
      )(peer);
    },
    expected: {
      ...native("refused: HTTP error: 503 Service Unavailable; body of 65*"),
      direct: "refused: HTTP error: 503 Service Unavailable; body of 65536",
    },
  },
  {
    name: "with a brotli body that is none",
    serve: answers(
      "503 x\r\nContent-Encoding: br\r\nContent-Length: 5",
      "hello",
    ),
    expected: "refused: HTTP error: 503 Service Unavailable*",
  },
  {
    name: "with an encoding that nobody knows",
    serve: answers(
      "503 x\r\nContent-Encoding: x-rot13\r\nContent-Length: 5",
      "uryyb",
    ),
    expected: "refused: HTTP error: 503 Service Unavailable; body of 5",
  },
  {
    name: "with a body behind a 204",
    serve: answers("204 x\r\nContent-Length: 5", "hello"),
    expected: "refused: HTTP error: 204 No Content",
  },
  {
    name: "with a body behind a 304",
    serve: answers("304 x\r\nContent-Length: 5", "hello"),
    expected: "refused: HTTP error: 304 Not Modified",
  },
  {
    name: "with a second answer behind the first",
    serve: answers(
      "503 x\r\nContent-Length: 5",
      "helloHTTP/1.1 101 X\r\n\r\n",
    ),
    expected: "refused: HTTP error: 503 Service Unavailable; body of 5",
  },
];

/** Redirects that lead nowhere, or where nobody should go. */
export const redirects: HostileCase[] = [
  {
    name: "that redirects where that was not asked for",
    serve: answers("302 x\r\nLocation: /elsewhere\r\nContent-Length: 0"),
    expected: "refused: HTTP error: 302 Found",
  },
  {
    name: "that redirects to itself for ever",
    serve: answers("302 x\r\nLocation: /\r\nContent-Length: 0"),
    options: { redirect: "follow" },
    expected: "refused: HTTP error: 302 Found: it redirects more than 10 times",
  },
  {
    name: "that redirects without a location",
    serve: answers("302 x\r\nContent-Length: 0"),
    options: { redirect: "follow" },
    expected: "refused: HTTP error: 302 Found",
  },
  {
    name: "that redirects to an empty location",
    serve: answers("302 x\r\nLocation:\r\nContent-Length: 0"),
    options: { redirect: "follow" },
    expected: "refused: HTTP error: 302 Found: it redirects more than 10 times",
  },
  {
    name: "that redirects to a file",
    serve: answers(
      "302 x\r\nLocation: file:///etc/passwd\r\nContent-Length: 0",
    ),
    options: { redirect: "follow" },
    expected:
      `refused: HTTP error: 302 Found: it redirects to "file:///etc/passwd", which is not a WebSocket URL`,
  },
  {
    name: "that redirects to a script",
    serve: answers(
      "302 x\r\nLocation: javascript:alert(1)\r\nContent-Length: 0",
    ),
    options: { redirect: "follow" },
    expected:
      `refused: HTTP error: 302 Found: it redirects to "javascript:alert(1)", which is not a WebSocket URL`,
  },
  {
    name: "that redirects to what is no URL, with a password in it",
    serve: answers(
      "302 x\r\nLocation: http://a:p@ss@[::x]/?token=t0ken\r\nContent-Length: 0",
    ),
    options: { redirect: "follow" },
    expected:
      `refused: HTTP error: 302 Found: it redirects to "http://[::x]/", which is not a WebSocket URL`,
  },
  {
    name: "that redirects to a URL of 32 KiB that is none",
    serve: answers(
      `302 x\r\nLocation: http://[${
        "x".repeat(32 * 1024)
      }\r\nContent-Length: 0`,
    ),
    options: { redirect: "follow" },
    expected:
      `refused: HTTP error: 302 Found: it redirects to "http://[xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…", which is not a WebSocket URL`,
  },
  {
    name: "that redirects with terminal sequences",
    serve: answers(
      "302 x\r\nLocation: http://[\u009b2J\r\nContent-Length: 0",
    ),
    options: { redirect: "follow" },
    expected:
      `refused: HTTP error: 302 Found: it redirects to "http://[Â\\u009b2J", which is not a WebSocket URL`,
  },
  {
    name: "that redirects to a port where nobody listens",
    serve: answers(
      "302 x\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0",
    ),
    options: { redirect: "follow" },
    expected: "refused: *",
  },
  {
    name: "that redirects by 300, which is not followed",
    serve: answers("300 x\r\nLocation: /\r\nContent-Length: 0"),
    options: { redirect: "follow" },
    expected: "refused: HTTP error: 300 Multiple Choices",
  },
];
