/**
 * TLS where `Deno.startTls()` cannot start it: over a connection that has TLS
 * itself, and with a client certificate. It is Node's, and so loaded only there.
 *
 * @module
 */

import { Duplex } from "node:stream";
import { connect, type TLSSocket } from "node:tls";
import { type Conn, writeAll } from "./http1.ts";

/** Options of {@linkcode startTls}; the texts are PEM. */
export interface TlsOptions {
  /** Whom the certificate must name. */
  readonly hostname: string;
  /** Trusted instead of the usual authorities. */
  readonly caCerts?: readonly string[];
  readonly cert?: string;
  readonly key?: string;
}

/**
 * Makes the handshake of TLS over a connection, which then is closed with what
 * this gives.
 *
 * @throws {Error} If it fails, or the certificate is not trusted.
 */
export async function startTls(
  conn: Conn,
  { hostname, caCerts, cert, key }: TlsOptions,
): Promise<Conn> {
  const below = duplexOf(conn);
  const socket = connect({
    socket: below,
    host: hostname,
    // An address may not stand there (RFC 6066 section 3).
    servername: /^[\d.]+$|:/.test(hostname) ? "" : hostname,
    ALPNProtocols: ["http/1.1"],
    rejectUnauthorized: true, // whatever the environment says
    // Node trusts no others besides, and would want --allow-sys to list them.
    ...(caCerts && { ca: [...caCerts] }),
    ...(cert !== undefined && { cert, key }),
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
  const chunks = socket[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array();
  return {
    async read(buffer) {
      if (rest.length === 0) {
        const { done, value } = await chunks.next();
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

function secured(socket: TLSSocket, below: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.once("secureConnect", resolve);
    below.once("close", () => reject(new Error("the connection was closed")));
  });
}

/** A connection as a stream of Node. */
function duplexOf(conn: Conn): Duplex {
  const duplex = new Duplex({
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
  });
  // The stream above it fails with it, and tells.
  return duplex.on("error", () => {});
}
