import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { connectWebSocket, HandshakeError } from "@wstap/wstap";
import { explainTlsError } from "../src/tls_errors.ts";
import { CAPTURES, each } from "./fixtures/captures.ts";
import { certificates } from "./fixtures/certs.ts";
import { testsWith } from "./fixtures/installed.ts";
import { hasNode, nodeServer } from "./fixtures/node.ts";
import { rawServer } from "./fixtures/raw.ts";

/** What Deno reports, and a part of what it comes to. */
const ERRORS: [reason: string, problem: string, help: string][] = [
  [
    "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))",
    "is that of an authority (CA:TRUE)",
    "basicConstraints=CA:FALSE",
  ],
  [
    "invalid peer certificate: UnknownIssuer",
    "an authority that is not trusted",
    "--ca-cert",
  ],
  ["self-signed certificate", "self-signed", "http.caCerts"],
  ["self-signed certificate in certificate chain", "self-signed", "--ca-cert"],
  ["unable to verify the first certificate", "not trusted", "--ca-cert"],
  [
    'invalid peer certificate: certificate not valid for name "localhost"; certificate is only valid for DnsName("other.example")',
    "for another name",
    "http.address",
  ],
  [
    "Hostname/IP does not match certificate's altnames: Host: localhost. is not in the cert's altnames: DNS:other.example",
    "for another name",
    "--connect-to",
  ],
  [
    "invalid peer certificate: certificate expired: verification time 1795818935 (UNIX), but certificate is not valid after 1609459200 (186359735 seconds ago)",
    "has expired (on 2021-01-01)",
    "renew it",
  ],
  ["certificate has expired", "has expired, or", "renew it"],
  [
    "invalid peer certificate: certificate not valid yet: verification time 1795818935 (UNIX), but certificate is not valid before 2051222400 (255403465 seconds in future)",
    "not valid yet (but from 2035-01-01)",
    "set the clock",
  ],
  ["certificate is not yet valid", "not valid yet, or", "-k"],
  [
    "invalid peer certificate: certificate does not allow extended key usage for server authentication, allows client authentication",
    "not for a server",
    "serverAuth",
  ],
  ["invalid peer certificate: BadEncoding", "is not valid", "-k"],
  [
    "received corrupt message of type InvalidContentType",
    "does not speak TLS",
    "ws: in place of wss:",
  ],
  ...[
    "tls handshake eof",
    "unexpected end of file",
    "Client network socket disconnected before secure TLS connection was established",
  ].map((reason): [string, string, string] => [
    reason,
    "closed the connection before TLS",
    "ws: in place of wss:",
  ]),
  ["received fatal alert: CertificateRequired", "client certificate", "--key"],
  ["received fatal alert: UnknownCA", "client certificate", "http.cert"],
  ["received fatal alert: UnrecognisedName", "URL's name", "check the name"],
  ["received fatal alert: ProtocolVersion", "no version", "TLS 1.2"],
  ["received fatal alert: NoApplicationProtocol", "ALPN", "must"],
];

for (const [reason, problem, help] of ERRORS) {
  Deno.test(`explainTlsError() says what is wrong and what would help: ${reason.slice(0, 60)}`, () => {
    const text = explainTlsError(reason) ?? "";
    const at = text.indexOf(`(${reason})`);
    assertStringIncludes(text, reason);
    assertStringIncludes(text.slice(0, at), problem);
    assertStringIncludes(text.slice(at), help);
    assertMatch(text, /^[^\n]+$/);
  });
}

Deno.test("explainTlsError() leaves other errors alone", () => {
  const others = [
    ...["", "Connection refused (os error 111)"],
    ...["received fatal alert: InternalError", "Expired"],
  ];
  for (const reason of others) assertEquals(explainTlsError(reason), null);
});

// --- Against servers ---

const FAULTS = {
  expired: /: the server's certificate has expired \(on \d{4}-\d\d-\d\d\)/,
  wrongName: /: the server's certificate is for another name .*http\.address/,
  selfSigned: /: the server's certificate is self-signed .*--ca-cert/,
  authority: /: the server's certificate is that of an authority .*CA:FALSE/,
};

for (const [kind, message] of Object.entries(FAULTS)) {
  each.test(`a certificate is refused with what is wrong and what would help: ${kind}`, async (capture) => {
    const all = await certificates();
    await using server = rawServer(
      (peer) => peer.waitForEnd().then(() => {}),
      all[kind as keyof typeof FAULTS],
    );
    const error = await assertRejects(
      () =>
        connectWebSocket(`${server.url}/?secret`, {
          capture,
          http: { caCerts: [all.ca] },
        }),
      HandshakeError,
    );
    assertMatch(error.message, message);
    assert(error.cause instanceof TypeError);
    assertStringIncludes(error.message, `(${error.cause.message}): `);
    assertEquals(Deno.inspect(error).includes("secret"), false);
  });
}

each.test("wss: to a port without TLS is refused with a hint at ws:", async (capture) => {
  await using server = rawServer(async (peer) => {
    await peer.conn.read(new Uint8Array(1024));
    await peer.respond("400 Bad Request");
    peer.end();
  });
  await assertRejects(
    () =>
      connectWebSocket(`wss://127.0.0.1:${server.port}/`, {
        capture,
        handshakeTimeout: "5s",
      }),
    HandshakeError,
    "the server does not speak TLS at this port (received corrupt message of type InvalidContentType): the URL may need ws: in place of wss:",
  );
});

each.test("ws: to a port with TLS is refused at once, with a hint at wss:", async (capture) => {
  // As OpenSSL and rustls answer what is not TLS; the connection stays open.
  await using server = rawServer(async (peer) => {
    await peer.readHead();
    await peer.write(new Uint8Array([0x15, 3, 3, 0, 2, 2, 10]));
  });
  const error = await assertRejects(
    () => connectWebSocket(server.url, { capture, handshakeTimeout: "5s" }),
    HandshakeError,
  );
  assertMatch(error.message, /needs? wss: in place of ws:/);
});

const withNode = testsWith("Node", hasNode);

for (const capture of CAPTURES) {
  withNode(
    `ws: to a TLS port that closes without a word is refused with a hint at wss: (${capture})`,
    async () => {
      await using server = await nodeServer((await certificates()).server);
      const error = await assertRejects(
        () => connectWebSocket(server.url.replace("wss:", "ws:"), { capture }),
        HandshakeError,
      );
      assertMatch(
        error.message,
        /: the server closed the connection without an answer .* the URL needs wss: /,
      );
      assert(error.cause instanceof TypeError);
    },
  );

  withNode(
    `a server that wants a client certificate is told from others (${capture})`,
    async () => {
      const all = await certificates();
      await using server = await nodeServer(all.server, all.ca);
      const http = { caCerts: [all.ca] };
      const error = await assertRejects(
        () => connectWebSocket(server.url, { capture, http }),
        HandshakeError,
      );
      assertMatch(
        error.message,
        /: the server wants a client certificate.*http\.cert and http\.key/,
      );
      const [connection] = await connectWebSocket(server.url, {
        capture,
        http: { ...http, ...all.client },
      });
      assertEquals((await connection.close()).code, 1000);
    },
  );
}
