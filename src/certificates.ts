/**
 * Checks the PEM texts of the `http` options, before anything is connected to.
 *
 * @module
 */

import type { HttpOptions } from "./http/request.ts";

type PemTexts = {
  readonly [K in "caCerts" | "cert" | "key"]?: HttpOptions[K] | undefined;
};

/**
 * Checks that certificates and keys can be used, as Deno itself will read them.
 * Takes about 0.3 ms, but nothing for the texts of the last call.
 *
 * @throws {TypeError} If one of them cannot be parsed, or `key` is not the key of
 * `cert`. The message names the option, and repeats nothing of the text.
 */
export function checkCertificates({ caCerts, cert, key }: PemTexts): void {
  if (caCerts === undefined && cert === undefined) return;
  const texts = [cert ?? "", key ?? "", ...caCerts ?? []];
  if (
    texts.length === checked.length && texts.every((it, i) => it === checked[i])
  ) return;
  for (const pem of caCerts ?? []) {
    if (!hasCertificates(pem)) {
      throw invalid("caCerts", `a certificate as PEM text, ${found(pem)}`);
    }
    if (!isAccepted(pem)) {
      throw invalid("caCerts", "a certificate that can be parsed");
    }
  }
  if (cert !== undefined && key !== undefined) checkIdentity(cert, key);
  checked = texts;
}

/** The texts that were checked last: mostly all connections use the same. */
let checked: readonly string[] = [];

function checkIdentity(cert: string, key: string): void {
  if (!hasCertificates(cert)) {
    throw invalid("cert", `a certificate as PEM text, ${found(cert)}`);
  }
  if (!isAccepted(cert)) {
    throw invalid("cert", "a certificate that can be parsed");
  }
  if (!KEY.test(key)) {
    throw invalid("key", `a private key as PEM text, ${found(key)}`);
  }
  if (/^Proc-Type: 4,ENCRYPTED/m.test(key)) {
    throw invalid("key", `a private key as PEM text, ${ENCRYPTED}`);
  }
  if (MISMATCH_PANICS && !belongTogether(cert, key)) throw mismatch();
  try {
    Deno.createHttpClient({ cert, key }).close();
  } catch (error) {
    if (/KeyMismatch/.test((error as Error).message)) throw mismatch();
    throw invalid("key", "a private key that can be parsed");
  }
}

/** Whether a text has certificates, all of which are found by Deno, which looks at the starts of lines. */
function hasCertificates(text: string): boolean {
  return /^-----BEGIN CERTIFICATE-----/m.test(text) && !JOINED.test(text);
}

/** Matches what is left if two PEM texts are joined without a line feed. */
const JOINED = /[^\r\n]-----BEGIN CERTIFICATE-----/;
const KEY = /^-----BEGIN (?:RSA |EC )?PRIVATE KEY-----/m;

function invalid(name: keyof PemTexts, expected: string): TypeError {
  return new TypeError(`Invalid http.${name}: expected ${expected}`);
}

function mismatch(): TypeError {
  return new TypeError(
    "Invalid http.key: it is not the private key of http.cert",
  );
}

const MISPLACED = 'got one whose "-----BEGIN" is not at the start of a line';
const ENCRYPTED = 'got an encrypted one ("openssl pkey" decrypts it)';

/** Says what a text is that is not what was expected. */
function found(text: string): string {
  if (JOINED.test(text)) return MISPLACED;
  const label = /^-----BEGIN ([A-Z0-9 ]{1,40})-----/m.exec(text)?.[1];
  if (label === "ENCRYPTED PRIVATE KEY") return ENCRYPTED;
  if (label?.endsWith("PRIVATE KEY")) return "got a private key";
  if (label === "CERTIFICATE") return "got a certificate";
  if (label !== undefined) return `got "${label}"`;
  if (text.includes("-----BEGIN ")) return MISPLACED;
  // DER begins with a SEQUENCE of a length that takes several bytes. Its second
  // byte is no UTF-8.
  if (/^0[\u0080-\u00ff\ufffd]/.test(text)) {
    return 'got DER ("openssl x509 -inform der" and "openssl pkey -inform der" convert it)';
  }
  return text === "" ? "got an empty text" : "got other text";
}

/** Whether Deno can parse all certificates in a text. It ignores everything else in it. */
function isAccepted(pem: string): boolean {
  try {
    Deno.createHttpClient({ caCerts: [pem] }).close();
    return true;
  } catch {
    return false;
  }
}

/** Whether Deno ends the whole process, without an error, if a key is not the key of its certificate. */
const MISMATCH_PANICS = /^2\.(?:[5-8]\.|9\.[0-5]$)/.test(Deno.version.deno);

/**
 * Whether a certificate contains the public key that belongs to a private key.
 * Also `true` if Node's cryptography cannot read the key.
 */
function belongTogether(cert: string, key: string): boolean {
  // Taken like this because it is needed at once, and an import would delay every start.
  const { process } = globalThis as unknown as {
    process: typeof import("node:process");
  };
  const { createPrivateKey, createPublicKey } = process.getBuiltinModule(
    "node:crypto",
  );
  let publicKey;
  try {
    publicKey = createPublicKey(createPrivateKey(key));
  } catch {
    return true;
  }
  const wanted = publicKey.export({ type: "spki", format: "der" });
  const [, body = ""] = /-----BEGIN CERTIFICATE-----([^-]*)/.exec(cert)!;
  return atob(body).includes(wanted.toString("latin1"));
}
