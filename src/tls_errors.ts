/**
 * What an error of TLS means, and what would help. Deno reports rustls's words,
 * such as `UnknownIssuer`, or those of `node:tls`.
 *
 * @module
 */

/** Ways out of a fault of the certificate. */
const ACCEPT = `accept any with http.unsafelyIgnoreCertificateErrors (-k)`;
const TRUST = `trust its authority with http.caCerts (--ca-cert), or ${ACCEPT}`;

/** What is wrong, and what would help. */
type Advice = [problem: string, help: string];

const ADVICE: [pattern: RegExp, advice: (match: RegExpExecArray) => Advice][] =
  [
    [/CaUsedAsEndEntity/, () => [
      "the server's certificate is that of an authority (CA:TRUE), which cannot be a server's, not even if it is trusted",
      `make one with CA:FALSE (openssl req -x509 -addext basicConstraints=CA:FALSE), or ${ACCEPT}`,
    ]],
    [
      /UnknownIssuer|self.signed certificate|unable to (?:verify the first|get (?:local )?issuer) certificate/,
      () => [
        "the server's certificate is self-signed or of an authority that is not trusted",
        TRUST,
      ],
    ],
    [
      /NotValidForName|certificate not valid for name|does not match certificate's altnames/,
      () => [
        "the server's certificate is for another name than the URL's",
        `put a name that it is for into the URL, and where to connect into http.address (--connect-to), or ${ACCEPT}`,
      ],
    ],
    [
      /certificate (?:has )?expired(?:.* not valid after (\d+))?|: Expired/,
      ([, seconds]) => [
        `the server's certificate has expired${
          on(seconds)
        }, or the clock of this machine is wrong`,
        `renew it, or ${ACCEPT}`,
      ],
    ],
    [
      /certificate (?:is )?not (?:yet valid|valid yet)(?:.* not valid before (\d+))?|NotValidYet/,
      ([, seconds]) => [
        `the server's certificate is not valid yet${
          on(seconds, "but from ")
        }, or the clock of this machine is wrong`,
        `set the clock, or ${ACCEPT}`,
      ],
    ],
    [/extended key usage|InvalidPurpose/, () => [
      "the server's certificate is not for a server",
      `give it one with the extended key usage serverAuth, or ${ACCEPT}`,
    ]],
    [/invalid peer certificate/, () => [
      "the server's certificate is not valid",
      `replace it, or ${ACCEPT}`,
    ]],
    [
      /^tls handshake eof$|^unexpected end of file$|disconnected before secure TLS connection was established/,
      () => [
        "the server closed the connection before TLS was established",
        "if it does not speak TLS at this port, the URL needs ws: in place of wss:",
      ],
    ],
    [/InvalidContentType|wrong version number/, () => [
      "the server does not speak TLS at this port",
      "the URL may need ws: in place of wss:",
    ]],
    [
      /alert: (?:CertificateRequired|BadCertificate|UnknownCA|CertificateUnknown|CertificateExpired|CertificateRevoked|UnsupportedCertificate|AccessDenied)/,
      () => [
        "the server wants a client certificate, or does not accept the one that it got",
        "give one with http.cert and http.key (--cert, --key)",
      ],
    ],
    [/alert: UnrecognisedName/, () => [
      "the server knows no certificate for the URL's name",
      "check the name, and where to connect",
    ]],
    [/alert: (?:ProtocolVersion|HandshakeFailure|InsufficientSecurity)/, () => [
      "the server and this client have no version or cipher of TLS in common",
      "the server must offer TLS 1.2 or 1.3",
    ]],
    [/alert: NoApplicationProtocol/, () => [
      "the server does not offer HTTP/1.1 by ALPN",
      "it must, for a WebSocket",
    ]],
  ];

/** Formats a time in seconds since the epoch as a date. */
function on(seconds: string | undefined, word = "on "): string {
  if (seconds === undefined) return "";
  return ` (${word}${
    new Date(Number(seconds) * 1000).toISOString().slice(0, 10)
  })`;
}

/**
 * Explains a network error of TLS: says what is wrong with the certificate or the
 * port, repeats the error, and says what would help.
 *
 * @param reason The message of the error, without a URL in it.
 * @returns `null` if the message is not one of TLS that is known.
 */
export function explainTlsError(reason: string): string | null {
  for (const [pattern, advice] of ADVICE) {
    const match = pattern.exec(reason);
    if (match === null) continue;
    const [problem, help] = advice(match);
    return `${problem} (${reason}): ${help}`;
  }
  return null;
}
