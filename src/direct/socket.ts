import { after } from "../duration.ts";
import { nextTurnOfTheEventLoop } from "../gate.ts";
import { Queue } from "../queue.ts";
import type {
  PingOptions,
  Socket,
  SocketEnd,
  SocketEvents,
} from "../socket.ts";
import type { Deflater } from "./deflate.ts";
import {
  encodeClose,
  encodeFrame,
  encodeText,
  FrameDecoder,
  type Inflater,
  OPCODE,
  ProtocolError,
} from "./frames.ts";
import { type Conn, writeAll } from "./http1.ts";
import { Pings } from "./pings.ts";
import { ReadBuffer } from "./read_buffer.ts";

/** With more bytes than this queued, `send()` waits. */
const SEND_HIGH_WATER = 1024 * 1024;

/** A read of so many bytes or more comes from a fast feed. */
const LARGE_READ = 32 * 1024;

/** The longest frame that waits in the read buffer until it is whole. */
const MAX_KEPT = 128 * 1024;

/**
 * After so many reads, or milliseconds of decoding, the event loop gets a turn: a
 * read of what has come already does not give it one.
 */
const READS_A_TURN = 512;
const DECODING_A_TURN = 10;

/** How many bytes of queued frames are put together into one write. */
const MAX_WRITE = 64 * 1024;

/**
 * How long the peer may take to end TCP after the closing handshake, in
 * milliseconds: the server should be the first (RFC 6455 section 7.1.1).
 */
const LINGER = 250;

const EMPTY = new Uint8Array();

/** What the handshake agreed on. */
export interface DirectSocketInit {
  readonly protocol: string;
  readonly extensions: string;
  readonly deflate: { inflater: Inflater; deflater: Deflater } | undefined;
}

/** A WebSocket over a connection of our own (RFC 6455). */
export class DirectSocket implements Socket {
  readonly protocol: string;
  readonly extensions: string;
  readonly canPause = true;
  readonly released: Promise<void>;
  readonly #conn: Conn;
  readonly #deflate: DirectSocketInit["deflate"];
  readonly #decoder: FrameDecoder;
  readonly #pings: Pings;
  readonly #release: () => void;
  #events: SocketEvents | undefined;
  /** What came behind the response head. */
  #rest: Uint8Array;
  /** Whether a close frame has been sent: nothing may follow it. */
  #closeSent = false;
  /** Whether `onEnd` has been called, or must not be any more. */
  #ended = false;
  /** Pending while reading is paused. */
  #paused: PromiseWithResolvers<void> | null = null;

  /** Frames that wait to be written, and their size in bytes. */
  #queue = new Queue<Uint8Array>();
  #queued = 0;
  #writing: Promise<void> | null = null;
  /** The calls of `send()` that wait for the queue to get shorter. */
  #waiting: (() => void)[] = [];
  /** The pong to the newest ping, while older frames fill the queue. */
  #heldPong: Uint8Array<ArrayBuffer> | null = null;

  /** @param rest What the server sent behind its response head. */
  constructor(conn: Conn, rest: Uint8Array, init: DirectSocketInit) {
    this.#conn = conn;
    this.#rest = rest;
    this.protocol = init.protocol;
    this.extensions = init.extensions;
    this.#deflate = init.deflate;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.released = promise;
    this.#release = resolve;
    this.#pings = new Pings((payload) =>
      this.#write(encodeFrame(OPCODE.ping, payload))
    );
    this.#decoder = new FrameDecoder({
      onMessage: (message) => {
        if (!this.#ended) this.#events!.onMessage(message);
      },
      onPing: (payload) => this.#answerPing(payload),
      onPong: (payload) => this.#pings.pong(payload),
      onClose: (code, reason) => this.#onClose(code, reason),
    }, { inflater: init.deflate?.inflater });
  }

  start(events: SocketEvents): void {
    this.#events = events;
    this.#run();
  }

  send(data: string | Uint8Array<ArrayBuffer>): Promise<void> | null {
    this.#write(this.#encode(data));
    if (this.#queued <= SEND_HIGH_WATER) return null;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  ping(options: PingOptions): Promise<number> {
    return this.#pings.ping(options);
  }

  close(code: number, reason: string): void {
    this.#sendClose(code, reason);
  }

  cut(): void {
    this.#ended = true;
    this.resume();
    closeQuietly(this.#conn);
  }

  pause(): void {
    this.#paused ??= Promise.withResolvers();
    this.#decoder.paused = true;
  }

  resume(): void {
    this.#paused?.resolve();
    this.#paused = null;
    this.#decoder.paused = false;
  }

  /** Reads until the end of the connection, and releases everything. */
  async #run(): Promise<void> {
    try {
      await this.#read();
    } catch (error) {
      this.#fail(error as Error);
    }
    this.#stopWriting();
    await this.#linger();
    closeQuietly(this.#conn);
    await this.#writing;
    this.#deflate?.inflater.close();
    this.#deflate?.deflater.close();
    this.#release();
  }

  async #read(): Promise<void> {
    const buffer = new ReadBuffer();
    let bytes = this.#rest;
    let isLarge = false;
    let reads = 0;
    let decoding = 0;
    this.#rest = EMPTY;
    while (!this.#ended) {
      // Where much comes at once the rest of a frame is not far, and waiting for
      // it saves a copy. Otherwise what is wrong with a frame is found sooner
      // when every part of it is decoded.
      const start = performance.now();
      const left = this.#decoder.push(bytes, isLarge ? MAX_KEPT : 0);
      decoding += performance.now() - start;
      const isPaused = this.#paused !== null;
      if (isLarge && !this.#ended) await this.#events!.onLargeRead();
      if (++reads >= READS_A_TURN || decoding >= DECODING_A_TURN) {
        await new Promise<void>(nextTurnOfTheEventLoop);
        reads = decoding = 0;
      }
      if (isPaused) {
        // What was not taken is, before anything is read.
        await this.#paused?.promise;
        bytes = bytes.subarray(bytes.length - left);
        continue;
      }
      if (this.#ended) return;
      buffer.keep(left);
      const length = await this.#conn.read(buffer.room());
      if (length === null) throw new Error("the peer hung up");
      if (this.#ended) return;
      this.#events!.onTraffic();
      isLarge = length >= LARGE_READ;
      bytes = buffer.add(length);
    }
  }

  /** The peer sent a close frame: nothing that follows it counts (RFC 6455 section 5.5.1). */
  #onClose(code: number, reason: string): void {
    this.#sendClose(code, "");
    this.#end({ code, reason, clean: true, problem: "" });
  }

  /** The connection broke off, or the peer broke the protocol. */
  #fail(error: Error): void {
    if (this.#ended) return;
    if (error instanceof ProtocolError) {
      this.#sendClose(error.code, error.message);
    } else {
      this.#heldPong = null; // nobody takes anything any more
    }
    this.#end({ code: 1006, reason: "", clean: false, problem: error.message });
  }

  #end(end: SocketEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#pings.end(end);
    this.#events!.onEnd(end);
  }

  #stopWriting(): void {
    this.#closeSent = true;
    this.#heldPong = null;
    for (const resolve of this.#waiting.splice(0)) resolve();
    this.#pings.end({ code: 1006, reason: "", clean: false });
  }

  /**
   * Waits a moment for the peer to end TCP, so that what was sent last reaches
   * it: a connection that is closed with unread bytes in it is reset.
   */
  async #linger(): Promise<void> {
    const cancel = after(LINGER, () => closeQuietly(this.#conn));
    try {
      await this.#writing;
      const buffer = new Uint8Array(16 * 1024);
      while (await this.#conn.read(buffer) !== null) {
        await new Promise<void>(nextTurnOfTheEventLoop);
      }
    } catch {
      // It is closed, or was reset.
    } finally {
      cancel();
    }
  }

  /** Sends a close frame, the last frame of all. */
  #sendClose(code: number, reason: string): void {
    if (this.#closeSent) return;
    this.#write(encodeClose(code === 1005 ? undefined : code, reason));
    this.#closeSent = true;
  }

  #answerPing(payload: Uint8Array<ArrayBuffer>): void {
    if (this.#queued <= SEND_HIGH_WATER) {
      return this.#write(encodeFrame(OPCODE.pong, payload));
    }
    // A pong to the newest ping alone will do (RFC 6455 section 5.5.3).
    this.#heldPong = payload;
  }

  #encode(data: string | Uint8Array<ArrayBuffer>): Uint8Array {
    const text = typeof data === "string";
    if (this.#deflate === undefined) {
      return text ? encodeText(data) : encodeFrame(OPCODE.binary, data);
    }
    const bytes = text ? new TextEncoder().encode(data) : data;
    const deflated = this.#deflate.deflater.deflate(bytes);
    return encodeFrame(
      text ? OPCODE.text : OPCODE.binary,
      deflated ?? bytes,
      { compressed: deflated !== null },
    );
  }

  /** Queues a frame, and sees to it that the queue is being written. */
  #write(frame: Uint8Array): void {
    if (this.#closeSent) return;
    this.#queue.push(frame);
    this.#queued += frame.length;
    this.#writing ??= this.#drain();
  }

  async #drain(): Promise<void> {
    try {
      while (this.#queue.length > 0) {
        const bytes = this.#takeQueued();
        await writeAll(this.#conn, bytes);
        this.#queued -= bytes.length;
        if (this.#queued > SEND_HIGH_WATER) continue;
        if (this.#heldPong !== null) {
          const pong = this.#heldPong;
          this.#heldPong = null;
          this.#write(encodeFrame(OPCODE.pong, pong));
        }
        for (const resolve of this.#waiting.splice(0)) resolve();
      }
    } catch {
      // The reading side finds out why, and what the peer sent before counts.
      this.#queue = new Queue();
      this.#queued = 0;
      this.#stopWriting();
    } finally {
      this.#writing = null;
    }
  }

  /** Takes the first frames of the queue, small ones together. */
  #takeQueued(): Uint8Array {
    const queue = this.#queue;
    const frames = [queue.shift()];
    let length = frames[0]!.length;
    while (
      queue.length > 0 && length + queue.first!.length <= MAX_WRITE
    ) {
      length += queue.first!.length;
      frames.push(queue.shift());
    }
    if (frames.length === 1) return frames[0]!;
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const frame of frames) {
      bytes.set(frame, at);
      at += frame.length;
    }
    return bytes;
  }
}

/** Closes what may be closed already. */
export function closeQuietly(resource: { close(): void }): void {
  try {
    resource.close();
  } catch {
    // It is.
  }
}
