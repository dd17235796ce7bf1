import { after } from "../timers.ts";
import { closeQuietly, type Conn } from "../conn.ts";
import { nextTurnOfTheEventLoop } from "../gate.ts";
import { Queue } from "../queue.ts";
import {
  LARGE_READ,
  type PingOptions,
  SEND_HIGH_WATER,
  type Socket,
  type SocketEnd,
  type SocketEvents,
} from "../socket.ts";
import {
  Protocol,
  type ProtocolHandler,
  type ProtocolOptions,
} from "../websocket/protocol.ts";
import type { ProtocolError } from "../websocket/protocol_error.ts";
import { Pings } from "./pings.ts";
import { ReadBuffer } from "./read_buffer.ts";

/** The longest frame that stays in the read buffer until all of it has arrived, in bytes. */
const MAX_KEPT = 128 * 1024;

/** The size in bytes up to which decoding takes less time than looking at the clock, unless messages are compressed. */
const MAX_QUICK = 1024;

/** The largest size of small frames that are joined into one write, in bytes. */
const MAX_WRITE = 64 * 1024;

/**
 * How long to wait for the server to end TCP after the closing handshake, in
 * milliseconds. The server should do so first (RFC 6455 section 7.1.1).
 */
const LINGER = 250;

/** What a queued frame takes up besides its bytes, in bytes. */
const FRAME_OVERHEAD = 128;

const EMPTY = new Uint8Array();

/** The results of the handshake, and the options of the protocol. */
export interface DirectSocketInit
  extends Pick<ProtocolOptions, "deflate" | "maxMessage" | "decode"> {
  readonly protocol: string;
  readonly extensions: string;
}

/**
 * wstap's own WebSocket, over a connection whose handshake is complete. It reads and
 * writes; the rules of RFC 6455 are those of {@linkcode Protocol}.
 */
export class DirectSocket implements Socket, ProtocolHandler {
  readonly protocol: string;
  readonly extensions: string;
  readonly canWait = true;
  readonly #conn: Conn;
  readonly #protocol: Protocol;
  readonly #isCompressed: boolean;
  /** The pings of `ping()`, once it has been called. */
  #pings: Pings | undefined;
  #events: SocketEvents | undefined;
  /** The bytes that arrived together with the response head. */
  #rest: Uint8Array<ArrayBuffer>;
  /** Whether `onEnd()` has been called. */
  #ended = false;
  /** Whether `terminate()` has been called. */
  #terminated = false;

  /** The frames that have not been written. */
  #queue = new Queue<Uint8Array>();
  /** The number of bytes that have not been written, with the overhead of their frames. */
  #queued = 0;
  /** How many of them are being written. */
  #inWriting = 0;
  /** The running `#drain()`, if any. */
  #writing: Promise<void> | null = null;
  /** Resolves the calls of `send()` that wait for the queue to get shorter. */
  #waiting: (() => void)[] | null = null;

  /** @param rest The bytes that arrived after the response head. The buffer that they are in is used for reading. */
  constructor(
    conn: Conn,
    rest: Uint8Array<ArrayBuffer>,
    init: DirectSocketInit,
  ) {
    const { deflate, maxMessage, decode } = init;
    this.#conn = conn;
    this.#rest = rest;
    this.protocol = init.protocol;
    this.extensions = init.extensions;
    this.#isCompressed = deflate !== undefined;
    this.#protocol = new Protocol(this, {
      side: "client",
      deflate,
      maxMessage,
      decode,
    });
  }

  start(events: SocketEvents): void {
    this.#events = events;
    this.#run();
  }

  send(data: string | Uint8Array<ArrayBuffer>): Promise<void> | null {
    this.#protocol.send(data);
    if (!this.isSendQueueFull()) return null;
    return new Promise((resolve) => (this.#waiting ??= []).push(resolve));
  }

  isSendQueueFull(): boolean {
    return this.#queued > SEND_HIGH_WATER;
  }

  ping(options: PingOptions): Promise<number> {
    this.#pings ??= new Pings((payload) => this.#protocol.ping(payload));
    return this.#pings.ping(options);
  }

  close(code: number, reason: string): void {
    this.#protocol.close(code, reason);
    this.#stopWaiting();
  }

  terminate(end: SocketEnd): void {
    this.#terminated = true;
    this.#end(end);
    closeQuietly(this.#conn);
  }

  /**
   * Reads until the end of the connection, then releases all resources. It calls no
   * other asynchronous function while it waits for bytes, because each would take
   * half a kilobyte of every idle connection (the row "idle connection" of `bench/`).
   */
  async #run(): Promise<void> {
    let bytes: Uint8Array = this.#rest;
    const buffer = new ReadBuffer(this.#rest.buffer); // `bytes` are decoded before the first read
    let isLarge = false;
    this.#rest = EMPTY;
    try {
      while (!this.#ended) {
        // After a large read, the rest of an incomplete frame will arrive soon, and
        // waiting for it saves a copy. Otherwise every part is decoded at once, so
        // that an error in it is found as early as possible.
        const takesLong = bytes.length > MAX_QUICK || this.#isCompressed;
        const arrivedAt = takesLong ? performance.now() : 0;
        const left = this.#protocol.receive(bytes, isLarge ? MAX_KEPT : 0);
        if (this.#ended) break;
        const wait = this.#events!.readOn(bytes.length, arrivedAt);
        if (wait !== null) await wait;
        if (this.#ended) break;
        if (this.#protocol.stopped) {
          bytes = bytes.subarray(bytes.length - left);
          continue;
        }
        buffer.keep(left);
        bytes = EMPTY; // so that an idle connection does not keep them
        const length = await this.#conn.read(buffer.room());
        if (length === null) throw new Error("the peer hung up");
        if (this.#ended) break;
        this.#events!.onTraffic();
        isLarge = length >= LARGE_READ;
        bytes = buffer.add(length);
      }
    } catch (error) {
      this.#lose((error as Error).message);
    }
    await this.#release();
  }

  /** Releases all resources, because nothing more is read. */
  async #release(): Promise<void> {
    if (!this.#terminated) await this.#linger();
    closeQuietly(this.#conn);
    await this.#written();
    this.#events!.onRelease();
  }

  onMessage(message: string | Uint8Array<ArrayBuffer>): void {
    if (!this.#events!.onMessage(message)) this.#protocol.stop();
  }

  onPong(payload: Uint8Array<ArrayBuffer>): void {
    this.#pings?.pong(payload);
  }

  onClose(code: number, reason: string): void {
    this.#end({ code, reason, clean: true, problem: "" });
  }

  onFail({ message }: ProtocolError): void {
    this.#lose(message);
  }

  #lose(problem: string): void {
    this.#end({ code: 1006, reason: "", clean: false, problem });
  }

  #end(end: SocketEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#protocol.terminate();
    this.#pings?.end(end);
    this.#stopWaiting();
    this.#events!.onEnd(end);
  }

  #stopWaiting(): void {
    const waiting = this.#waiting;
    if (waiting === null) return;
    this.#waiting = null;
    for (const resolve of waiting) resolve();
  }

  /**
   * Waits for the peer to end TCP, for at most `LINGER` milliseconds, and reads what
   * it still sends. Closing a connection that has unread bytes resets it, and the
   * peer might then not receive what was sent last.
   */
  async #linger(): Promise<void> {
    const cancel = after(LINGER, () => closeQuietly(this.#conn));
    try {
      await this.#written();
      const buffer = new Uint8Array(16 * 1024);
      while (await this.#conn.read(buffer) !== null) {
        await new Promise<void>(nextTurnOfTheEventLoop);
      }
    } catch {
      // The connection has been closed or reset.
    } finally {
      cancel();
    }
  }

  /**
   * Waits until nothing is being written, for at most `LINGER` milliseconds. In Deno
   * 2.5, closing a connection does not end a write that waits for the peer.
   */
  async #written(): Promise<void> {
    if (this.#writing === null) return;
    const late = Promise.withResolvers<void>();
    const cancel = after(LINGER, late.resolve);
    await Promise.race([this.#writing, late.promise]);
    cancel();
  }

  get isWriting(): boolean {
    return this.#writing !== null;
  }

  /** Queues a frame, and starts to write the queue if that is not being done. */
  write(frame: Uint8Array): void {
    const cost = frame.length + FRAME_OVERHEAD;
    this.#queued += cost;
    if (this.#writing === null) {
      this.#inWriting = cost;
      this.#writing = this.#drain(frame);
    } else this.#queue.push(frame);
  }

  /** Writes a frame, and then the queue until it is empty. */
  async #drain(frame: Uint8Array): Promise<void> {
    try {
      for (let bytes: Uint8Array | null = frame; bytes !== null;) {
        // Not `writeAll()`, to save a promise and a turn.
        let sent = await this.#conn.write(bytes);
        while (sent < bytes.length) {
          sent += await this.#conn.write(bytes.subarray(sent));
        }
        this.#queued -= this.#inWriting;
        if (!this.isSendQueueFull()) this.#stopWaiting();
        bytes = this.#takeQueued();
      }
    } catch {
      this.#stopSending();
    } finally {
      this.#writing = null;
    }
  }

  /**
   * Ends sending, because a write has failed. Why is reported when reading fails, after
   * all that the peer sent before has been read.
   */
  #stopSending(): void {
    this.#queue = new Queue();
    this.#queued = 0;
    this.#protocol.writeFailed();
    this.#pings?.end({ code: 1006, reason: "", clean: false });
    this.#stopWaiting();
    if (!this.#ended) this.#events!.onSendEnd();
  }

  /** Takes what is to be written next: a pong, or the first frame from the queue, joined with the next ones if they are small. */
  #takeQueued(): Uint8Array | null {
    const pong = this.#protocol.takePong();
    if (pong !== null) {
      this.#inWriting = pong.length + FRAME_OVERHEAD;
      this.#queued += this.#inWriting;
      return pong;
    }
    const queue = this.#queue;
    if (queue.length === 0) return null;
    const frames = [queue.shift()];
    let length = frames[0]!.length;
    while (
      queue.length > 0 && length + queue.first!.length <= MAX_WRITE
    ) {
      length += queue.first!.length;
      frames.push(queue.shift());
    }
    this.#inWriting = length + frames.length * FRAME_OVERHEAD;
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
