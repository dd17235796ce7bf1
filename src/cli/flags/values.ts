import { format as formatDate } from "@std/datetime/format";
import {
  connections,
  type ConnectOptions,
  type ReconnectOptions,
} from "../../../mod.ts";
import { checkHeaders, isCloseCode, originRule } from "../../internal.ts";
import type { Arguments } from "./parse.ts";
import { check, usageError } from "../errors.ts";
import {
  choice,
  closeCodes,
  duration,
  type Extent,
  extent,
  hostAndPort,
  listed,
  shown,
  size,
  text,
  whole,
} from "./read.ts";
import { Sources } from "./sources.ts";
import type { Choice, ValueName } from "./table.ts";
import type { ReplayOptions } from "../../../replay.ts";
import {
  authorization,
  headerLines,
  secret,
  withoutPassword,
} from "./secrets.ts";
import { decodeText } from "../terminal/text.ts";

/** How messages are written. */
export type Format = Choice<"format">;

/** Headers, by their names. */
type HeaderList = [name: string, value: string][];

/** The settings of a tap. */
export interface TapSettings {
  /** Where to connect. The URLs after the first are fallbacks. */
  readonly urls: readonly string[];
  readonly connect: ReconnectOptions;
  /** When to connect again, `null` for never. */
  readonly reconnect: Reconnect | null;
  /** Where the response head goes. */
  readonly head: "stderr" | "stdout" | "only" | "nowhere";
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly summary: boolean;
  /** How many messages to receive; `Infinity` for all. */
  readonly count: number;
  /** Milliseconds to run for, connecting included; `Infinity` for no limit. */
  readonly duration: number;
  /**
   * Milliseconds without a message after which to end, once all that was read has
   * been sent; `Infinity` for no limit.
   */
  readonly wait: number;
  readonly format: Format;
  /** Milliseconds of one window, `null` for messages one by one. */
  readonly batch: number | null;
  /** The largest number of messages in one window. */
  readonly max: number;
  /** Formats the time of arrival; `null` if it is not shown. */
  readonly time: ((time: Date) => string) | null;
  /** How binary messages are compressed, `null` if they are written as they are. */
  readonly decompress: Choice<"decompress"> | null;
  /** The file to append to, `null` for standard output. */
  readonly output: string | null;
  /** When to begin a new file, `null` for never. */
  readonly rotate: Extent | null;
  /** Whether a recording has what was sent, too. */
  readonly recordSent: boolean;
  readonly binary: boolean;
  /** What to send on each connection. */
  readonly send: readonly (string | Uint8Array)[];
  /** Whether to send the lines of standard input. */
  readonly input: boolean;
}

/** When to connect again. */
export interface Reconnect
  extends Pick<ReconnectOptions, "minDelay" | "maxDelay" | "maxAttempts"> {
  /**
   * Says of the code with which a connection ended whether the run is to end with
   * it; by default as `connections()` decides.
   */
  readonly stopsOn: ((code: number) => boolean) | undefined;
}

/** The settings of a replay. */
export interface ReplaySettings {
  readonly path: string;
  readonly options: ReplayOptions;
}

/** The settings of a ping. */
export interface PingSettings
  extends Pick<TapSettings, "urls" | "connect" | "verbose"> {
  /** How many pings to send; `Infinity` for no limit. */
  readonly count: number;
  /** Milliseconds to go on for; `Infinity` for no limit. */
  readonly duration: number;
  /** Milliseconds between pings. */
  readonly interval: number;
  /** How long a pong may take, in milliseconds. */
  readonly timeout: number;
}

/** Checks the arguments of a tap, and reads the files that they name. */
export function tapSettings(
  args: Arguments,
  urls: readonly string[],
  sources: Sources = new Sources(),
): TapSettings {
  const batch = duration(args, "batch") ?? null;
  if (batch === null && args.get("max") !== undefined) {
    throw usageError("The option --max needs --batch");
  }
  const binary = args.has("binary");
  const format = choice(args, "format") ?? "text";
  const time = timeFormat(args);
  if (binary && time !== null && format === "text" && batch === null) {
    throw usageError(
      "The options --binary and --timestamps exclude each other: --format ndjson has both",
    );
  }
  const file = text(args, "output");
  const output = file === undefined || file === "-" ? null : file;
  const rotate = extent(args, "rotate") ?? null;
  if (rotate !== null && output === null) {
    throw usageError("The option --rotate needs --output FILE");
  }
  const recordSent = args.has("record-sent");
  if (
    recordSent && (output === null || format !== "ndjson" || batch !== null)
  ) {
    throw usageError(
      "The option --record-sent needs a recording: --format ndjson --output FILE, without --batch",
    );
  }
  const connect = {
    ...connectOptions(args, captureFor(args, urls), sources),
    ...given({ heartbeat: heartbeat(args, binary) }),
  };
  const reconnect = reconnectOptions(args);
  checkConnect(urls, { ...connect, ...reconnect });
  return {
    urls,
    connect,
    reconnect,
    head: args.has("head")
      ? "only"
      : args.has("include")
      ? "stdout"
      : args.has("quiet")
      ? "nowhere"
      : "stderr",
    quiet: args.has("quiet"),
    verbose: args.has("verbose"),
    summary: args.has("summary"),
    count: whole(args, "count") ?? Infinity,
    duration: duration(args, "duration") ?? Infinity,
    wait: duration(args, "wait") ?? Infinity,
    format,
    batch,
    max: whole(args, "max") ?? Infinity,
    time,
    decompress: choice(args, "decompress") ?? null,
    output,
    rotate,
    recordSent,
    binary,
    send: [
      ...args.all("send").map((message) => textMessage(message, binary)),
      ...args.all("send-file").map((path) =>
        fileMessage(path, binary, sources)
      ),
    ],
    input: !args.has("no-input") && !sources.hasInput,
  };
}

/** Checks the arguments of a ping. */
export function pingSettings(
  args: Arguments,
  urls: readonly string[],
  sources: Sources = new Sources(),
): PingSettings {
  const settings: PingSettings = {
    urls,
    connect: connectOptions(args, "direct", sources),
    verbose: args.has("verbose"),
    count: whole(args, "count") ?? Infinity,
    duration: duration(args, "duration") ?? Infinity,
    interval: duration(args, "interval") ?? 1_000,
    timeout: duration(args, "ping-timeout") ?? 20_000,
  };
  checkConnect(urls, settings.connect);
  return settings;
}

/** Checks the arguments of a replay. */
export function replaySettings(
  args: Arguments,
  paths: readonly string[],
  sources: Sources = new Sources(),
): ReplaySettings {
  const [path] = paths;
  if (path === undefined || path === "" || paths.length > 1) {
    throw usageError("Expected one file, as in wstap replay feed.ndjson");
  }
  if (path.includes("://")) {
    // It is not repeated: it may hold a secret.
    throw usageError("Expected a file to replay, not a URL");
  }
  const headers = headerList(args, sources);
  checkHeaders(headers);
  return {
    path,
    options: given({
      port: whole(args, "port", 0, 65535),
      speed: speed(args),
      loop: args.has("loop"),
      headers,
      fault: fault(args),
      refuse: refusal(args),
      clientMessages: choice(args, "client-messages"),
      entry: entry(args),
      allowOrigin: args.all("allow-origin").map(origin),
    }),
  };
}

function entry(args: Arguments): number | string | undefined {
  const value = text(args, "entry");
  return value !== undefined && /^\d{1,15}$/.test(value)
    ? Number(value)
    : value;
}

function origin(value: string): string {
  try {
    originRule(value);
    return value;
  } catch {
    throw usageError(
      `Invalid --allow-origin ${
        shown(value)
      }: expected an origin such as "https://app.example:8443", or *`,
    );
  }
}

function speed(args: Arguments): number {
  const value = args.get("speed") ?? "1";
  if (value === "max") return Infinity;
  const factor = /^(\d+\.?\d*|\.\d+)$/.test(value) ? Number(value) : 0;
  if (factor > 0 && factor < Infinity) return factor;
  throw usageError(
    `Invalid --speed ${shown(value)}: expected a number above 0, or max`,
  );
}

function fault(args: Arguments): ReplayOptions["fault"] {
  const names = ["close-after", "drop-after", "stall-after"] as const;
  const given = names.filter((name) => args.get(name) !== undefined);
  if (given.length > 1) {
    throw usageError(
      `The options ${
        listed(given.map((name) => `--${name}`), "and")
      } exclude each other`,
    );
  }
  switch (given[0]) {
    case "close-after": {
      const [after, code = 1000] = pair(args, "close-after");
      if (after !== undefined && isCloseCode(code)) {
        return { after, how: "close", code };
      }
      throw invalidPair(
        args,
        "close-after",
        'a number of messages and a close code that may be sent, as in "10" or "10:1001"',
      );
    }
    case "drop-after":
      return { after: whole(args, "drop-after", 0)!, how: "drop" };
    case "stall-after":
      return { after: whole(args, "stall-after", 0)!, how: "stall" };
  }
  return undefined;
}

function refusal(args: Arguments): ReplayOptions["refuse"] {
  if (args.get("refuse") === undefined) return undefined;
  const [status = 0, count = Infinity] = pair(args, "refuse");
  if (status >= 200 && status <= 599 && count >= 1) return { status, count };
  throw invalidPair(
    args,
    "refuse",
    'a status from 200 to 599, and how many handshakes, as in "503" or "503:3"',
  );
}

/** The value of an option that is one whole number, or two with a colon between them. */
function pair(args: Arguments, name: ValueName): (number | undefined)[] {
  const [, first, second] =
    /^(\d{1,15})(?::(\d{1,15}))?$/.exec(args.get(name)!) ??
      [];
  return [first, second].map((digits) =>
    digits === undefined ? undefined : Number(digits)
  );
}

function invalidPair(args: Arguments, name: ValueName, expected: string) {
  return usageError(
    `Invalid --${name} ${shown(args.get(name)!)}: expected ${expected}`,
  );
}

/** Checks what connecting will be asked for, before anything is opened. */
function checkConnect(
  urls: readonly string[],
  options: ReconnectOptions,
): void {
  // It checks its arguments at the call, and connects at the first step only.
  check(() => connections([...urls], options));
}

/** The options that only capture "direct" can serve. */
const DIRECT = ["insecure", "compress", "ping-interval", "ping-timeout"];
/**
 * The options that only "direct" can serve with `wss:`. With `ws:` the others can,
 * but not for a host that `NO_PROXY` exempts, so "direct" is the better choice.
 */
const ADDRESS = ["connect-to", "unix-socket"];

/** The capture that is asked for; "direct" if none is, and an option needs that one. */
function captureFor(
  args: Arguments,
  urls: readonly string[],
): ConnectOptions["capture"] {
  const capture = choice(args, "capture");
  const has = (names: string[]) =>
    args.given.find(({ name }) => names.includes(name));
  if (capture === undefined) {
    return has([...DIRECT, ...ADDRESS]) === undefined ? undefined : "direct";
  }
  if (capture === "direct") return capture;
  const isEncrypted = urls.some((url) => /^\s*wss:/i.test(url));
  const option = has(DIRECT) ?? (isEncrypted ? has(ADDRESS) : undefined);
  if (option === undefined) return capture;
  const where = DIRECT.includes(option.name) ? "" : " for wss:";
  throw usageError(
    `The option --${option.name} needs --capture direct${where}, not ${capture}`,
  );
}

function connectOptions(
  args: Arguments,
  capture: ConnectOptions["capture"],
  sources: Sources,
): ReconnectOptions {
  const maxBuffer = size(args, "max-buffer");
  if (args.has("location") && choice(args, "redirect") === "error") {
    throw usageError("--location and --redirect error exclude each other");
  }
  return given({
    protocols: args.all("protocol"),
    headers: headers(args, sources),
    capture,
    redirect: args.has("location") ? "follow" : choice(args, "redirect"),
    overflow: choice(args, "overflow"),
    handshakeTimeout: seconds(duration(args, "timeout")),
    idleTimeout: seconds(duration(args, "idle-timeout")),
    messageTimeout: seconds(duration(args, "message-timeout")),
    compression: args.has("compress"),
    pingInterval: seconds(duration(args, "ping-interval")),
    pingTimeout: seconds(duration(args, "ping-timeout")),
    // Someone waits for the prompt to come back.
    closeTimeout: "2s",
    // The format decides what becomes of binary messages.
    binary: "bytes",
    maxBuffer: maxBuffer === undefined ? undefined : { bytes: maxBuffer },
    http: httpOptions(args, sources),
  });
}

function httpOptions(
  args: Arguments,
  sources: Sources,
): NonNullable<ConnectOptions["http"]> {
  const cert = text(args, "cert");
  const key = text(args, "key");
  if ((cert === undefined) !== (key === undefined)) {
    throw usageError("The options --cert and --key go together");
  }
  const proxy = text(args, "proxy");
  const path = text(args, "unix-socket");
  const ways = (["proxy", "connect-to", "unix-socket"] as const)
    .filter((name) => args.get(name) !== undefined);
  if (ways.length > 1) {
    throw usageError(
      `The options ${
        listed(ways.map((name) => `--${name}`), "and")
      } exclude each other`,
    );
  }
  const address = path === undefined
    ? hostAndPort(args, "connect-to")
    : { path };
  return {
    caCerts: args.all("ca-cert").map((path) => sources.text("--ca-cert", path)),
    ...(cert !== undefined && key !== undefined && {
      cert: sources.text("--cert", cert),
      key: sources.text("--key", key),
    }),
    ...(proxy !== undefined &&
      { proxy: { url: secret("--proxy", proxy, sources) } }),
    ...(address !== undefined && { address }),
    ...(args.has("insecure") && { unsafelyIgnoreCertificateErrors: true }),
  };
}

function heartbeat(
  args: Arguments,
  binary: boolean,
): ConnectOptions["heartbeat"] {
  const message = args.get("heartbeat");
  const interval = duration(args, "heartbeat-interval");
  if (message === undefined) {
    if (interval === undefined) return undefined;
    throw usageError("The option --heartbeat-interval needs --heartbeat");
  }
  return {
    message: textMessage(message, binary),
    interval: seconds(interval) ?? 30,
  };
}

/** Leaves out the options that are `undefined`. */
function given<const T extends object>(
  options: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

function reconnectOptions(args: Arguments): TapSettings["reconnect"] {
  if (args.has("reconnect")) {
    return {
      ...given({
        minDelay: seconds(duration(args, "min-delay")),
        maxDelay: seconds(duration(args, "max-delay")),
        maxAttempts: whole(args, "max-attempts"),
      }),
      stopsOn: closeCodes(args, "stop-on"),
    };
  }
  for (
    const name of ["min-delay", "max-delay", "max-attempts", "stop-on"] as const
  ) {
    if (args.get(name) !== undefined) {
      throw usageError(`The option --${name} needs --reconnect`);
    }
  }
  return null;
}

/**
 * The headers, or how to read them for each attempt, if files name them. They are
 * read here in any case, so that what is wrong is told at once.
 */
function headers(
  args: Arguments,
  sources: Sources,
): HeaderList | (() => HeaderList) {
  const first = readHeaders(args, sources);
  const mayChange = (["header", "user", "bearer"] as const)
    .flatMap((name) => args.all(name))
    .some((value) => value.startsWith("@") && value !== "@-");
  return mayChange ? () => readHeaders(args, sources) : first;
}

/**
 * The name of the user whose password has to be asked for before the settings can be
 * read; `null` if none has to.
 */
export function missingPassword(
  args: Arguments,
  sources: Sources,
): string | null {
  return withoutPassword(asked(args, headerList(args, sources)), sources);
}

function asked(args: Arguments, headers: HeaderList) {
  return {
    user: args.get("user"),
    bearer: args.get("bearer"),
    given: headers.some(([name]) => name.toLowerCase() === "authorization"),
  };
}

function readHeaders(args: Arguments, sources: Sources): HeaderList {
  const list = headerList(args, sources);
  const value = authorization(asked(args, list), sources);
  return value === null ? list : [...list, ["Authorization", value]];
}

function headerList(args: Arguments, sources: Sources): HeaderList {
  return args.all("header").flatMap((value) => headerLines(value, sources));
}

function textMessage(message: string, binary: boolean): string | Uint8Array {
  return binary ? new TextEncoder().encode(message) : message;
}

function fileMessage(
  path: string,
  binary: boolean,
  sources: Sources,
): string | Uint8Array {
  const bytes = sources.bytes("--send-file", path);
  if (binary) return bytes;
  const message = decodeText(bytes);
  if (message !== null) return message;
  throw usageError(
    `Cannot send ${path}: it is not UTF-8, and --binary sends any bytes`,
  );
}

function timeFormat(args: Arguments): TapSettings["time"] {
  const format = text(args, "time-format");
  if (format === undefined) {
    return args.has("timestamps") ? (time) => time.toISOString() : null;
  }
  try {
    formatDate(new Date(), format);
  } catch {
    throw usageError(
      `Invalid --time-format ${JSON.stringify(format)}: ` +
        'expected one such as "yyyy-MM-dd HH:mm:ss.SSS"',
    );
  }
  return (time) => formatDate(time, format);
}

function seconds(milliseconds: number | undefined): number | undefined {
  return milliseconds === undefined ? undefined : milliseconds / 1000;
}
