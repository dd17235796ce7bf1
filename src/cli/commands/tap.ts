import {
  BufferOverflowError,
  type CloseInfo,
  ConnectionClosedError,
  HandshakeError,
  type HandshakeResponse,
} from "../../../mod.ts";
import {
  type Connection,
  describeClose,
  isErrorClose,
  sessions,
  Trace,
} from "./connect.ts";
import { type CliError, EXIT, type ExitCode, OutputClosed } from "../errors.ts";
import { isStdoutFile, Output, type Section } from "../files/output.ts";
import { ARRIVALS } from "../../internal.ts";
import {
  arrivals,
  type Arrived,
  before,
  from,
  halves,
  takeArrivals,
} from "./arrivals.ts";
import { SentLog } from "./sent.ts";
import { Sender } from "./sender.ts";
import { Silence } from "./silence.ts";
import { Conversation, isConversation } from "../terminal/conversation.ts";
import { standardInput } from "../files/input.ts";
import { closeLine, lines, openLine, stopLine } from "../../internal.ts";
import { Decompressor } from "../decompress.ts";
import { type Notes, StatusLine, Totals } from "../terminal/stderr.ts";
import {
  bodyStart,
  createRender,
  isVerbatim,
  type Render,
  type Rendered,
  responseHead,
} from "../terminal/render.ts";
import type { TapSettings } from "../flags/values.ts";
import type { Stop } from "../stop.ts";
import { count as counted, number, time } from "../terminal/text.ts";

/** Writes the messages of a feed until the feed, a limit or a signal ends it. */
export async function tap(
  settings: TapSettings,
  notes: Notes,
  stop: Stop,
): Promise<ExitCode> {
  using output = new Output(settings.output, {
    rotate: settings.rotate,
    onFailure: () => run.end(),
    onTerminalGone: () => stop.request(EXIT.terminated),
  });
  const run = new Run(settings, notes, stop, output);
  using status = new StatusLine(notes, {
    totals: run.totals,
    count: settings.count,
    duration: settings.duration,
    buffered: () => run.buffered,
  });
  if (notes.isTerminal && !notes.quiet) void showStatus(status, settings);
  try {
    await run.start();
    return run.judge();
  } catch (error) {
    if (error instanceof OutputClosed) return EXIT.ended;
    // What ended the handshake or the delay is no failure of theirs.
    if (stop.code === null) throw output.failure ?? error;
    return run.judge();
  } finally {
    if (settings.summary) notes.write(`wstap: ${run.totals}\n`);
  }
}

/**
 * Shows the status line if messages go to a file. It must not stand among the
 * messages, nor among what the reader of a pipe writes to the same terminal.
 */
async function showStatus(
  status: StatusLine,
  { output }: Pick<TapSettings, "output">,
): Promise<void> {
  const isTerminal = Deno.stdout.isTerminal();
  if (isTerminal ? output !== null : await isStdoutFile()) status.start();
}

/** One run of a tap, over one connection or many. */
class Run {
  readonly totals = new Totals();
  readonly #settings: TapSettings;
  readonly #notes: Notes;
  readonly #stop: Stop;
  readonly #output: Output;
  /** Whether the output can be replayed. */
  readonly #isRecording: boolean;
  readonly #waiting = new AbortController();
  #connection: Connection | null = null;
  /** How the server closed the connection that was the last one. */
  #closed: CloseInfo | null = null;
  /** What failed while sending, other than by the end of a connection. */
  #failure: { readonly error: unknown } | null = null;
  #conversation: Conversation | null = null;
  #decompressor: Decompressor | null = null;
  /** How many messages may still come. */
  #left: number;
  /** What was sent and is to be recorded; `null` if it is not recorded. */
  readonly #sent: SentLog | null;
  /** Settles when everything so far has been written. */
  #written: Promise<void> = Promise.resolve();
  /** Whether messages have been taken that have not been handed out to be written. */
  #isTaking = false;

  constructor(
    settings: TapSettings,
    notes: Notes,
    stop: Stop,
    output: Output,
  ) {
    this.#settings = settings;
    this.#left = settings.count;
    this.#sent = settings.recordSent ? new SentLog() : null;
    this.#isRecording = settings.output !== null &&
      settings.format === "ndjson" && settings.batch === null;
    this.#notes = notes;
    this.#stop = stop;
    this.#output = output;
  }

  /** How many messages wait to be written. */
  get buffered(): number {
    return this.#connection?.buffered.messages ?? 0;
  }

  /** Ends the run. What has arrived is still written: the connection ends behind it. */
  end(): void {
    if (this.#connection !== null) void this.#connection.close();
    else this.#waiting.abort();
  }

  /** Runs until the feed or a limit ends it, or something fails. */
  async start(): Promise<void> {
    const { duration, head, verbose } = this.#settings;
    using silence = new Silence(
      this.#settings.wait,
      () => this.#stop.request(EXIT.ended),
    );
    const sender = new Sender(
      this.#settings,
      this.#notes,
      () => this.#input(),
      () => {
        if (this.#connection !== null) silence.start();
      },
      this.#sent === null
        ? null
        : (message, connection) => this.#recordSent(message, connection),
    );
    this.#stop.requestAfter(duration, EXIT.ended);
    this.#stop.signal.addEventListener("abort", () => this.end());
    const trace = verbose ? new Trace(this.#notes) : null;
    const { decompress } = this.#settings;
    if (decompress !== null) {
      this.#decompressor = await Decompressor.load(decompress);
    }
    try {
      const entries = sessions(
        { ...this.#settings, connect: this.#connectOptions() },
        this.#notes,
        trace,
        this.#waiting.signal,
      );
      for await (const [connection, response] of entries) {
        this.#connection = connection;
        this.#closed = null;
        this.totals.connections++;
        trace?.answered();
        await this.#showHead(response);
        if (head === "only") return;
        await this.#beginSection({
          begin: () => openLine(response, connection.protocol),
          end: stopLine,
        });
        sender.attach(connection).catch((error) => {
          this.#failure ??= { error };
          this.end();
        });
        const error = await this.#receive(connection, silence);
        silence.stop();
        this.totals.dropped += connection.dropped;
        if (this.#failure !== null) throw this.#failure.error;
        if (this.#output.failure !== null) throw this.#output.failure;
        if (this.#left === 0 || this.#stop.signal.aborted) {
          return await this.#endSection(stopLine());
        }
        if (error instanceof BufferOverflowError) {
          await this.#endSection(stopLine());
        } else {
          const info = await connection.closed;
          await this.#endSection(closeLine(info));
          if (info.clean) this.#closed = info;
        }
        // Another connection answers it, if there is to be one.
        if (error !== null && this.#settings.reconnect === null) throw error;
        this.#connection = null;
        silence.stop();
      }
    } catch (error) {
      trace?.answered();
      if (error instanceof HandshakeError && error.response !== undefined) {
        await this.#showRefusal(error.response);
      }
      throw this.#failure === null ? error : this.#failure.error;
    } finally {
      await this.#endConversation();
    }
  }

  /** The options of the connections, with what the format needs and no more. */
  #connectOptions(): TapSettings["connect"] {
    const { connect, format, time, decompress } = this.#settings;
    // Messages that are written as they are need not become strings.
    const isDecoded = connect.capture !== "direct" || decompress !== null ||
      !isVerbatim(this.#settings, this.#output.isTerminal);
    const { binary: _, ...asBytes } = connect;
    return {
      ...(isDecoded ? connect : { ...asBytes, decode: false }),
      ...(time !== null || format === "ndjson" ? { [ARRIVALS]: true } : {}),
      ...(this.#sent === null ? {} : this.#recordedHeartbeat()),
    };
  }

  /** The heartbeat, noted as a message that is sent each time it is asked for. */
  #recordedHeartbeat(): Pick<TapSettings["connect"], "heartbeat"> {
    const { heartbeat } = this.#settings.connect;
    if (heartbeat === undefined) return {};
    const { message, interval } = heartbeat;
    // The command line passes no other kind of message.
    if (typeof message !== "string" && !(message instanceof Uint8Array)) {
      return {};
    }
    const record = () => {
      if (this.#connection !== null) {
        this.#recordSent(message, this.#connection);
      }
      return message;
    };
    return { heartbeat: { message: record, interval } };
  }

  /** The lines to send: what is typed at a terminal, otherwise standard input. */
  async *#input(): AsyncGenerator<Uint8Array[]> {
    const { output, wait } = this.#settings;
    if (output !== null || !isConversation()) {
      return yield* lines(
        standardInput((message) => this.#notes.error(message)),
      );
    }
    this.#notes.say("type a line to send it, Ctrl-D to close");
    this.#conversation = await Conversation.start({
      onEnd: () => {
        // What has been typed cannot be sent, and nobody waits for it.
        if (wait === Infinity && this.#connection === null) {
          this.#stop.request(EXIT.ended);
        }
      },
      onInterrupt: () => this.#stop.interrupt(EXIT.interrupted),
    });
    this.#output.screen = this.#notes.screen = this.#conversation;
    yield* this.#conversation.lines();
    // All of it has been sent. With --wait, answers may still come.
    if (wait === Infinity && this.#conversation !== null) {
      this.#stop.request(EXIT.ended);
    }
  }

  /** Gives the terminal back. */
  async #endConversation(): Promise<void> {
    const conversation = this.#conversation;
    this.#conversation = null;
    await conversation?.[Symbol.asyncDispose]();
    this.#output.screen = this.#notes.screen = null;
  }

  /**
   * Writes what comes, until the connection ends or nothing more is wanted.
   *
   * @returns The error with which the connection ended, if it was one.
   */
  async #receive(
    connection: Connection,
    silence: Silence,
  ): Promise<ConnectionClosedError | BufferOverflowError | null> {
    const { isTerminal, colors } = this.#output;
    const render = createRender(this.#settings, { isTerminal, colors });
    const batches = arrivals(connection, this.#settings, () => this.#left);
    // While one chunk is written the next one is collected, but no more.
    try {
      for await (const received of batches) {
        silence.restart();
        this.#left -= received.length;
        this.#isTaking = true;
        let times = takeArrivals(connection, received.length);
        let messages: Arrived["messages"] = received;
        let error: CliError | null = null;
        if (this.#decompressor !== null) {
          ({ messages, error } = await this.#decompressor.all(received));
          // What came before the one that failed is still written.
          if (error !== null) times = before(times, messages.length);
          if (error !== null && messages.length === 0) throw error;
        }
        const first = (connection[ARRIVALS]?.taken ?? 0) - received.length;
        const rendered = render(messages, times);
        await this.#written;
        this.#written = this.#sent === null
          ? this.#write({ messages, times }, rendered, render)
          : this.#writeBoth(first, { messages, times }, rendered, render);
        // It is awaited below; nothing more need come until then.
        this.#written.catch(() => void connection.close());
        this.#isTaking = false;
        this.#flushSent(connection);
        this.totals.add(messages.length, rendered.bytes);
        if (error !== null) {
          await this.#written;
          throw error;
        }
        if (this.#left === 0) break;
      }
      await this.#written;
    } catch (error) {
      await this.#written;
      if (
        error instanceof ConnectionClosedError ||
        error instanceof BufferOverflowError
      ) return error;
      throw error;
    }
    return null;
  }

  /** Writes messages. Those that do not fit into the present file are divided among files, unless they are one line. */
  async #write(
    { messages, times }: Arrived,
    { chunks, length }: Rendered,
    render: Render,
  ): Promise<void> {
    if (
      messages.length === 1 || this.#settings.batch !== null ||
      this.#output.fits(length)
    ) return await this.#output.write(chunks, length);
    for (const half of halves(messages, times)) {
      await this.#write(half, render(half.messages, half.times), render);
    }
  }

  /**
   * Writes messages, and between them what was sent before they arrived.
   *
   * @param index How many messages of the connection came before them.
   */
  async #writeBoth(
    index: number,
    { messages, times }: Arrived,
    rendered: Rendered,
    render: Render,
  ): Promise<void> {
    const sent = this.#sent!;
    if (sent.next >= index + messages.length) {
      return await this.#write({ messages, times }, rendered, render);
    }
    while (messages.length > 0) {
      await this.#writeSent(index);
      const count = Math.min(messages.length, sent.next - index);
      const part = messages.slice(0, count);
      const partTimes = before(times, count);
      await this.#write(
        { messages: part, times: partTimes },
        render(part, partTimes),
        render,
      );
      messages = messages.slice(count);
      times = from(times, count);
      index += count;
    }
  }

  /** Takes note of a message that was sent. */
  #recordSent(message: string | Uint8Array, connection: Connection): void {
    if (this.#output.section === null || this.#connection !== connection) {
      return; // the recording of the connection has ended
    }
    this.#sent!.add(message, connection[ARRIVALS]!.received);
    this.#flushSent(connection);
  }

  /** Writes what was sent, unless messages that arrived before it have to be written first. */
  #flushSent(connection: Connection): void {
    if (this.#sent === null || this.#sent.next === Infinity) return;
    const { received, taken } = connection[ARRIVALS]!;
    if (this.#isTaking || taken < received) return;
    this.#written = this.#written.then(() => this.#writeSent(Infinity));
    this.#written.catch(() => void connection.close());
  }

  /** Writes what was sent before more than `count` messages had arrived. */
  async #writeSent(count: number): Promise<void> {
    const lines = this.#sent?.take(count) ?? "";
    if (lines === "") return;
    const chunk = new TextEncoder().encode(lines);
    await this.#output.write([chunk], chunk.length);
  }

  /** Writes the line that a connection begins with, if the output is a recording. */
  async #beginSection(section: Section): Promise<void> {
    if (!this.#isRecording) return;
    this.#output.section = section;
    await this.#output.writeLine(section.begin());
  }

  /** Writes the line that a connection ends with, if the output is a recording. */
  async #endSection(line: string): Promise<void> {
    if (!this.#isRecording) return;
    await this.#written;
    await this.#writeSent(Infinity);
    this.#output.section = null;
    await this.#output.writeLine(line);
  }

  async #showHead(response: HandshakeResponse): Promise<void> {
    const { head } = this.#settings;
    const first = this.totals.connections <= 1;
    if (head === "nowhere") return;
    if (head === "stderr" || !first) {
      if (this.#notes.quiet) return;
      const { colors } = this.#notes;
      this.#notes.write(responseHead(response, { safe: true, colors }));
    } else {
      // A recording has no place for it.
      const output = this.#isRecording ? new Output(null) : this.#output;
      const { isTerminal: safe, colors } = output;
      const text = responseHead(response, { safe, colors });
      await output.writeLine(text);
    }
  }

  async #showRefusal(response: HandshakeResponse): Promise<void> {
    await this.#showHead(response);
    if (this.#notes.quiet) return;
    const body = bodyStart(await response.text());
    if (body !== "") this.#notes.write(body);
  }

  /** Decides on the exit code of a run that nothing failed in, and says why it is not 0. */
  judge(): ExitCode {
    const { count, duration, head, reconnect } = this.#settings;
    const { code } = this.#stop;
    if (code !== null && code !== EXIT.ended) return code; // a signal
    if (this.totals.connections === 0) {
      this.#notes.error(`No connection within ${time(duration)}`);
      return EXIT.unreachable;
    }
    if (head === "only") return EXIT.ended;
    const isShort = this.#left > 0 && count < Infinity;
    const came = isShort
      ? `${number(count - this.#left)} of ${counted(count, "message")}`
      : "";
    const info = code === null ? this.#closed : null;
    if (info === null) {
      if (!isShort) return EXIT.ended;
      this.#notes.error(`${came} came`);
      return EXIT.short;
    }
    const why = describeClose(info) + (isShort ? ` after ${came}` : "");
    const isError = isErrorClose(info);
    if (isShort || isError || reconnect !== null) this.#notes.error(why);
    else if (info.code === 1001 || info.reason !== "") this.#notes.say(why);
    return isError ? EXIT.closed : isShort ? EXIT.short : EXIT.ended;
  }
}
