/**
 * TLS as `Deno.startTls()` does not support it: over a connection that uses TLS
 * itself or a Unix socket, with a client certificate, and with any certificate of
 * the server. It uses `node:tls`, which is loaded only for these.
 *
 * @module
 */

import type { Duplex, DuplexOptions } from "node:stream";
import type { TLSSocket } from "node:tls";
import { type Conn, writeAll } from "../conn.ts";

/** Options of {@linkcode startTls}. */
export interface TlsOptions {
  /** The host name or address that the server's certificate must be for. */
  readonly hostname: string;
  /** Root certificates to trust in addition to the default ones, as PEM texts. */
  readonly caCerts?: readonly string[];
  /** The client certificate, as PEM text. */
  readonly cert?: string;
  /** The private key of `cert`, as PEM text. */
  readonly key?: string;
  /** Whether to accept any certificate of the server. Then no signature of the handshake is checked either. */
  readonly unsafelyIgnoreCertificateErrors?: boolean;
}

/**
 * Makes the TLS handshake over a connection, and returns the encrypted connection.
 * Closing it also closes the connection below.
 *
 * @throws {Error} If the handshake fails, or the certificate is not trusted.
 */
export async function startTls(
  conn: Conn,
  { hostname, caCerts, cert, key, unsafelyIgnoreCertificateErrors }: TlsOptions,
): Promise<Conn> {
  // Loaded here, where they are needed: they take a while.
  const { Duplex } = await import("node:stream");
  const { connect, createSecureContext } = await import("node:tls");
  const secureContext = createSecureContext(
    cert === undefined ? {} : { cert, key },
  );
  // The option `ca` would replace the default ones. Listing those, to add to them,
  // would need the permission --allow-sys.
  for (const pem of caCerts ?? []) secureContext.context.addCACert(pem);
  // Resolved when bytes are wanted; `null` while they are. `node:tls` takes and
  // decrypts all that arrives, however little of it is read, so nothing may arrive
  // that is not wanted.
  let held: PromiseWithResolvers<void> | null = null;
  const below = new Duplex(duplexOptions({
    async read(buffer) {
      await held?.promise;
      return await conn.read(buffer);
    },
    write: (bytes) => conn.write(bytes),
    close: () => conn.close(),
  }));
  // The TLS socket fails with it, and reports the error.
  below.on("error", () => {});
  const socket = connect({
    socket: below,
    host: hostname,
    // It must not be an address (RFC 6066 section 3).
    servername: /^[\d.]+$|:/.test(hostname) ? "" : hostname,
    ALPNProtocols: ["http/1.1"],
    // Given, so that NODE_TLS_REJECT_UNAUTHORIZED=0 changes nothing.
    rejectUnauthorized: !unsafelyIgnoreCertificateErrors,
    secureContext,
  });
  const close = () => {
    socket.destroy();
    below.destroy();
  };
  try {
    await secured(socket, below);
  } catch (error) {
    close();
    throw error;
  }
  held = Promise.withResolvers();
  const chunks = socket[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array();
  return {
    async read(buffer) {
      if (rest.length === 0) {
        held?.resolve();
        held = null;
        const { done, value } = await chunks.next();
        held = Promise.withResolvers();
        if (done) return null;
        rest = value;
      }
      const length = Math.min(rest.length, buffer.length);
      buffer.set(rest.subarray(0, length));
      rest = rest.subarray(length);
      return length;
    },
    write: (bytes) =>
      new Promise((resolve, reject) => {
        socket.write(bytes, (error) => {
          if (error) reject(error);
          else resolve(bytes.length);
        });
      }),
    close,
  };
}

/** Resolves when the TLS handshake is complete. */
function secured(socket: TLSSocket, below: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.once("secureConnect", resolve);
    below.once("close", () => reject(new Error("the connection was closed")));
  });
}

/** Describes a stream of Node that reads from a connection, and writes to it. */
function duplexOptions(conn: Conn): DuplexOptions {
  return {
    read() {
      const buffer = new Uint8Array(64 * 1024);
      conn.read(buffer).then(
        (length) =>
          this.push(length === null ? null : buffer.subarray(0, length)),
        (error) => this.destroy(error),
      );
    },
    write(chunk, _encoding, callback) {
      writeAll(conn, chunk).then(() => callback(), callback);
    },
    destroy(error, callback) {
      try {
        conn.close();
      } catch {
        // It is closed.
      }
      callback(error);
    },
  };
}
