/**
 * What a hostile server is, and what came of it: each case of the tables beside
 * this file is a server that misbehaves in one way, and the outcome it must have
 * with each capture.
 *
 * An outcome is one line:
 * - `refused: …` a `HandshakeError`, with its message behind the URL, and the
 *   length of the body, if one came;
 * - `timeout` after `handshakeTimeout`;
 * - `opened`, then each message received (`2 × "x"` for two alike), then how it ended: `closed 1000 "bye"`
 *   after a close frame, `lost` without one, `overflow`, or `silent` if it had to
 *   be closed from this side.
 *
 * A `*` in an expected outcome stands for any text: Deno's own words differ
 * between its versions.
 *
 * @module
 */

import { located } from "../fixtures/located.ts";
import {
  BinaryMessageError,
  BufferOverflowError,
  ConnectionClosedError,
  type ConnectOptions,
  connectWebSocket,
  HandshakeError,
  type WebSocketConnection,
} from "@wstap/wstap";
import { type Capture, CAPTURES } from "../fixtures/captures.ts";
import { type Peer, rawServer } from "../fixtures/raw.ts";
import { RESOLVING } from "../fixtures/resolving.ts";
import { within } from "../fixtures/wait.ts";

/** A server that misbehaves in one way. */
export interface HostileCase {
  /** What the server does, as the name of a test goes on after "a server". */
  name: string;
  /** What it does on each connection, a pre-flight's too. */
  serve: (peer: Peer) => Promise<void>;
  /** The outcome with every capture, or with each one. */
  expected: string | Record<Capture, string>;
  /** How to connect. */
  options?: ConnectOptions;
  /** The captures that can meet it, if not all. */
  captures?: readonly Capture[];
  /** Asks a server that speaks no TLS for it. */
  secure?: boolean;
  /**
   * Why some versions of Deno cannot take part with the captures over the native
   * socket alone.
   */
  panics?: { before: string; why: string };
  /** Why the client's end of the connection stays open until the server goes. */
  keepsOpen?: Partial<Record<Capture, string>>;
}

/** The same outcome with both captures over the native socket alone. */
export function native(
  outcome: string,
): Pick<Record<Capture, string>, "preflight" | "none"> {
  return { preflight: outcome, none: outcome };
}

/** The most messages that a case may send. */
const MAX_MESSAGES = 20_000;

/** How long nothing must come for the server to count as silent, in milliseconds, three times in a row. */
const SILENCE = 50;

/** How long a case may take, and the end of its connections, in milliseconds. */
const PATIENCE = 60_000;

/** Defines a test for each case and capture. */
export function table(cases: readonly HostileCase[]): void {
  for (const it of cases) {
    for (const capture of it.captures ?? CAPTURES) {
      const panics = it.panics !== undefined && capture !== "direct" &&
        olderThan(it.panics.before);
      if (panics) console.log(`Skipped with ${capture}: ${it.panics!.why}`);
      Deno.test({
        name: `a server ${it.name} (${capture})`,
        ignore: panics,
        ...RESOLVING,
        fn: located(() => check(it, capture)),
      });
    }
  }
}

function olderThan(version: string): boolean {
  return Deno.version.deno.localeCompare(version, "en", { numeric: true }) < 0;
}

async function check(it: HostileCase, capture: Capture): Promise<void> {
  const expected = expectedWith(it, capture);
  const handled: Promise<void>[] = [];
  let connection: WebSocketConnection<string | Uint8Array> | undefined;
  {
    await using server = rawServer((peer) => {
      const done = it.serve(peer);
      handled.push(done.catch(() => {}));
      return done;
    });
    const seen = await within(
      observe(
        it.secure ? `wss://localhost:${server.port}/` : server.url,
        capture,
        it.options,
        expected.endsWith("silent") ? SILENCE : PATIENCE,
      ),
      PATIENCE + 5000,
      "the outcome",
    );
    connection = seen.connection;
    if (!matches(expected, seen.outcome)) {
      throw new Error(
        `expected: ${expected}\n     got: ${shorten(seen.outcome)}`,
      );
    }
    // Nothing of the client may outlive the outcome.
    if (it.keepsOpen?.[capture] === undefined) {
      await within(
        Promise.all(handled),
        60_000,
        "the end of the client's side",
      );
    }
  }
  if (connection) await within(connection.closed, 60_000, "connection.closed");
}

/** The outcome that a case expects with a capture. */
export function expectedWith(
  { expected }: HostileCase,
  capture: Capture,
): string {
  return typeof expected === "string" ? expected : expected[capture];
}

/** Whether an outcome is as expected, where `*` stands for anything. */
export function matches(expected: string, outcome: string): boolean {
  const pattern = expected.split("*")
    .map((part) => part.replace(/[\\^$.+?()[\]{}|]/g, "\\$&"))
    .join(".*");
  return new RegExp(`^${pattern}$`, "s").test(outcome);
}

/**
 * Connects, receives all that comes within `silence` of each other, and says what
 * came of it. Silence is a timeout three times in a row: a busy machine can let one
 * pass before it looks at what has arrived.
 */
export async function observe(
  url: string,
  capture: Capture,
  options: ConnectOptions = {},
  silence = SILENCE,
): Promise<
  { outcome: string; connection?: WebSocketConnection<string | Uint8Array> }
> {
  let connection;
  try {
    [connection] = await connectWebSocket(url, {
      handshakeTimeout: "60s",
      closeTimeout: "150ms",
      ...options,
      capture,
    });
  } catch (error) {
    return { outcome: await refused(error) };
  }
  const seen = new Outcome("opened");
  let silent = 0;
  for (let count = 0; count <= MAX_MESSAGES; count++) {
    let message;
    try {
      message = await connection.recv({ timeout: silence / 1000 });
      silent = 0;
    } catch (error) {
      if (error instanceof BinaryMessageError) {
        seen.push(`not-utf8[${error.data.length}]`);
        continue;
      }
      if (error instanceof DOMException && error.name === "TimeoutError") {
        if (++silent < 3) continue;
        seen.push("silent");
        await connection.close();
        break;
      }
      seen.push(await lost(connection, error));
      break;
    }
    if (message === null) {
      seen.push(await closed(connection));
      break;
    }
    seen.push(shown(message));
  }
  return { outcome: seen.toString(), connection };
}

/** The words of an outcome; one that is repeated is counted, as in `3 × "x"`. */
class Outcome {
  #words: [count: number, word: string][] = [];

  constructor(word: string) {
    this.push(word);
  }

  push(word: string): void {
    const last = this.#words.at(-1);
    if (last?.[1] === word) last[0]++;
    else this.#words.push([1, word]);
  }

  toString(): string {
    return this.#words.map(([count, word]) =>
      count === 1 ? word : `${count} × ${word}`
    ).join(" ");
  }
}

async function refused(error: unknown): Promise<string> {
  if (error instanceof DOMException && error.name === "TimeoutError") {
    return "timeout";
  }
  if (!(error instanceof HandshakeError)) throw error;
  const problem = error.message.replace(
    /^Cannot connect to wss?:\/\/[^/ ]+\/[^ ?]*: /,
    "",
  );
  if (problem === error.message) throw error;
  // deno-lint-ignore no-control-regex -- none may reach a terminal
  if (/[\u0000-\u001f\u007f-\u009f]/.test(problem)) {
    throw new Error(`control characters in ${JSON.stringify(problem)}`);
  }
  const length = (await error.response?.bytes())?.length ?? 0;
  return `refused: ${problem}${length > 0 ? `; body of ${length}` : ""}`;
}

async function closed(
  connection: WebSocketConnection<string | Uint8Array>,
): Promise<string> {
  const { code, reason, clean } = await connection.closed;
  if (!clean) throw new Error("recv() gave null, and the close is not clean");
  if (await connection.recv() !== null) throw new Error("null did not last");
  return `closed ${code} ${JSON.stringify(reason)}`;
}

async function lost(
  connection: WebSocketConnection<string | Uint8Array>,
  error: unknown,
): Promise<string> {
  const again = await connection.recv().catch((error) => error);
  if (again !== error) throw new Error(`then ${again} followed ${error}`);
  if (error instanceof BufferOverflowError) {
    await connection.closed;
    return "overflow";
  }
  if (!(error instanceof ConnectionClosedError)) throw error;
  const info = await connection.closed;
  if (error.code !== 1006 || info.code !== 1006 || info.clean) throw error;
  return "lost";
}

function shown(message: string | Uint8Array): string {
  if (typeof message !== "string") return `bytes[${message.length}]`;
  return message.length > 60
    ? `text[${message.length}]`
    : JSON.stringify(message);
}

function shorten(text: string): string {
  return text.length > 1000 ? text.slice(0, 1000) + "…" : text;
}

/** Reads on as a server does: answers a close frame with the same, and ends. */
export async function behave(peer: Peer): Promise<void> {
  for (let frame; (frame = await peer.readFrame()) !== null;) {
    if (frame.opcode !== 8) continue;
    await peer.closeFrame();
    break;
  }
  peer.end();
}
