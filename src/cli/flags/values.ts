import { format as formatDate } from "@std/datetime/format";
import {
  type ConnectOptions,
  parseDuration,
  type ReconnectOptions,
} from "../../../mod.ts";
import { isCloseCode } from "../../websocket/receiver.ts";
import { checkHeaders } from "../../http/target.ts";
import { decodePercent } from "../../http/encoding.ts";
import type { Arguments } from "./parse.ts";
import { usageError } from "../errors.ts";
import { readBytes, readText } from "../files/input.ts";
import { OPTIONS, type ValueName } from "./table.ts";
import type { Ending } from "../../replay/recording.ts";
import { authorization, headerLines, secret } from "./secrets.ts";
import { decodeText } from "../terminal/text.ts";

/** How messages are written. */
export type Format = "text" | "json" | "ndjson";

/** The settings of a tap. */
export interface TapSettings {
  /** Where to connect. The URLs after the first are fallbacks. */
  readonly urls: readonly string[];
  readonly connect: ConnectOptions;
  /** When to connect again, `null` for never. */
  readonly reconnect:
    | Pick<ReconnectOptions, "minDelay" | "maxDelay" | "maxAttempts">
    | null;
  /** Where the response head goes. */
  readonly head: "stderr" | "stdout" | "only" | "nowhere";
  readonly quiet: boolean;
  readonly verbose: boolean;
  readonly summary: boolean;
  /** How many messages to receive; `Infinity` for all. */
  readonly count: number;
  /** Milliseconds to receive for; `Infinity` for no limit. */
  readonly duration: number;
  readonly format: Format;
  /** Milliseconds of one window, `null` for messages one by one. */
  readonly batch: number | null;
  /** The largest number of messages in one window. */
  readonly max: number;
  /** Formats the time of arrival; `null` if it is not shown. */
  readonly time: ((time: Date) => string) | null;
  /** The file to append to, `null` for standard output. */
  readonly output: string | null;
  readonly binary: boolean;
  /** What to send once connected. */
  readonly send: readonly (string | Uint8Array)[];
}

/** The settings of a replay. */
export interface ReplaySettings {
  readonly path: string;
  /** 0 for any that is free. */
  readonly port: number;
  /** How many times as fast as it was recorded; `Infinity` for no waits. */
  readonly speed: number;
  readonly loop: boolean;
  /** Added to every response. */
  readonly headers: readonly [name: string, value: string][];
  readonly fault: Fault | null;
  /** Which handshakes are refused: the first `count`. */
  readonly refuse: { readonly status: number; readonly count: number } | null;
}

/** What each client gets in the place of the rest of the feed. */
export interface Fault {
  /** After how many messages. */
  readonly after: number;
  readonly ending: Ending | { readonly how: "stalled" };
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
): TapSettings {
  const batch = duration(args, "batch") ?? null;
  if (batch === null && args.get("max") !== undefined) {
    throw usageError("The option --max needs --batch");
  }
  const binary = args.has("binary");
  const format = (choice(args, "format") ?? "text") as Format;
  const time = timeFormat(args);
  if (binary && time !== null && format === "text" && batch === null) {
    throw usageError(
      "The options --binary and --timestamps exclude each other: --format ndjson has both",
    );
  }
  return {
    urls,
    connect: connectOptions(args),
    reconnect: reconnectOptions(args),
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
    format,
    batch,
    max: whole(args, "max") ?? Infinity,
    time,
    output: text(args, "output") ?? null,
    binary,
    send: [
      ...args.all("send").map((message) =>
        binary ? new TextEncoder().encode(message) : message
      ),
      ...args.all("send-file").map((path) => fileMessage(path, binary)),
    ],
  };
}

/** Checks the arguments of a ping. */
export function pingSettings(
  args: Arguments,
  urls: readonly string[],
): PingSettings {
  return {
    urls,
    connect: connectOptions(args, "direct"),
    verbose: args.has("verbose"),
    count: whole(args, "count") ?? Infinity,
    duration: duration(args, "duration") ?? Infinity,
    interval: duration(args, "interval") ?? 1_000,
    timeout: duration(args, "ping-timeout") ?? 20_000,
  };
}

/** Checks the arguments of a replay. */
export function replaySettings(
  args: Arguments,
  paths: readonly string[],
): ReplaySettings {
  const [path] = paths;
  if (path === undefined || path === "" || paths.length > 1) {
    throw usageError("Expected one file, as in wstap replay feed.ndjson");
  }
  if (path.includes("://")) {
    // It is not repeated: it may hold a secret.
    throw usageError("Expected a file to replay, not a URL");
  }
  const headers = args.all("header").flatMap(headerLines);
  checkHeaders(headers);
  return {
    path,
    port: whole(args, "port", 0, 65535) ?? 0,
    speed: speed(args),
    loop: args.has("loop"),
    headers,
    fault: fault(args),
    refuse: refusal(args),
  };
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

function fault(args: Arguments): Fault | null {
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
        return { after, ending: { how: "closed", code, reason: "" } };
      }
      throw invalidPair(
        args,
        "close-after",
        'a number of messages and a close code that may be sent, as in "10" or "10:1001"',
      );
    }
    case "drop-after":
      return { after: whole(args, "drop-after", 0)!, ending: { how: "lost" } };
    case "stall-after":
      return {
        after: whole(args, "stall-after", 0)!,
        ending: { how: "stalled" },
      };
  }
  return null;
}

function refusal(args: Arguments): ReplaySettings["refuse"] {
  if (args.get("refuse") === undefined) return null;
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

function connectOptions(
  args: Arguments,
  capture = choice(args, "capture") as ConnectOptions["capture"],
): ConnectOptions {
  const cert = text(args, "cert");
  const key = text(args, "key");
  if ((cert === undefined) !== (key === undefined)) {
    throw usageError("The options --cert and --key go together");
  }
  const proxy = text(args, "proxy");
  const maxBuffer = size(args, "max-buffer");
  return {
    protocols: args.all("protocol"),
    headers: headers(args),
    capture,
    redirect: choice(args, "redirect") as ConnectOptions["redirect"],
    overflow: choice(args, "overflow") as ConnectOptions["overflow"],
    handshakeTimeout: seconds(duration(args, "timeout")),
    idleTimeout: seconds(duration(args, "idle-timeout")),
    ...directOptions(args, capture),
    // Someone waits for the prompt to come back.
    closeTimeout: "2s",
    // The format decides what becomes of binary messages.
    binary: "bytes",
    ...(maxBuffer !== undefined && { maxBuffer: { bytes: maxBuffer } }),
    http: {
      caCerts: args.all("ca-cert").map((path) => readText("--ca-cert", path)),
      ...(cert !== undefined && key !== undefined && {
        cert: readText("--cert", cert),
        key: readText("--key", key),
      }),
      ...(proxy !== undefined &&
        { proxy: parseProxy(secret("--proxy", proxy)) }),
    },
  };
}

/** The options that only capture "direct" can serve. */
function directOptions(
  args: Arguments,
  capture: ConnectOptions["capture"],
): ConnectOptions {
  const names = ["ping-interval", "ping-timeout"] as const;
  const given = args.has("compress")
    ? "compress"
    : names.find((name) => args.get(name) !== undefined);
  if (given !== undefined && capture !== "direct") {
    throw usageError(`The option --${given} needs --capture direct`);
  }
  return {
    compression: args.has("compress"),
    pingInterval: seconds(duration(args, "ping-interval")),
    pingTimeout: seconds(duration(args, "ping-timeout")),
  };
}

function reconnectOptions(args: Arguments): TapSettings["reconnect"] {
  if (args.has("reconnect")) {
    const minDelay = duration(args, "min-delay");
    const maxDelay = duration(args, "max-delay");
    if ((minDelay ?? 0) > (maxDelay ?? Infinity)) {
      throw usageError("The value of --min-delay is above that of --max-delay");
    }
    return {
      minDelay: seconds(minDelay),
      maxDelay: seconds(maxDelay),
      maxAttempts: whole(args, "max-attempts"),
    };
  }
  for (const name of ["min-delay", "max-delay", "max-attempts"] as const) {
    if (args.get(name) !== undefined) {
      throw usageError(`The option --${name} needs --reconnect`);
    }
  }
  return null;
}

function headers(args: Arguments): [string, string][] {
  const list = args.all("header").flatMap(headerLines);
  const given = list.some(([name]) => name.toLowerCase() === "authorization");
  const value = authorization({
    user: args.get("user"),
    bearer: args.get("bearer"),
    given,
  });
  return value === null ? list : [...list, ["Authorization", value]];
}

/** A proxy, with the credentials of its URL where Deno wants them. */
function parseProxy(value: string): Deno.Proxy {
  let url;
  try {
    url = new URL(value);
  } catch {
    url = null;
  }
  if (
    url === null || !/^(https?|socks5h?):$/.test(url.protocol) ||
    url.hostname === ""
  ) {
    throw usageError(
      'Invalid --proxy: expected a URL such as "http://127.0.0.1:3128" or "socks5://127.0.0.1:1080"',
    );
  }
  const { username, password } = url;
  url.username = url.password = "";
  return {
    url: url.href,
    ...(username !== "" && {
      basicAuth: {
        username: decodePercent(username),
        password: decodePercent(password),
      },
    }),
  };
}

function fileMessage(path: string, binary: boolean): string | Uint8Array {
  const bytes = readBytes("--send-file", path);
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

/** The value of an option that must not be empty. */
function text(args: Arguments, name: ValueName): string | undefined {
  const value = args.get(name);
  if (value === "") throw usageError(`The value of --${name} is empty`);
  return value;
}

function choice(args: Arguments, name: ValueName): string | undefined {
  const value = args.get(name);
  const { choices } = OPTIONS.find((option) => option.name === name)!;
  if (value === undefined || choices!.includes(value)) return value;
  throw usageError(
    `Invalid --${name} ${shown(value)}: expected ${listed(choices!)}`,
  );
}

/** A value in a message; a URL slipped in there may hold a secret. */
function shown(value: string): string {
  return value.includes("://") ? "(a URL)" : JSON.stringify(value);
}

/** As in "a, b or c". */
function listed(words: readonly string[], last = "or"): string {
  return words.join(", ").replace(/, ([^,]*)$/, ` ${last} $1`);
}

/** The value of an option that counts something. */
export function whole(
  args: Arguments,
  name: ValueName,
  least = 1,
  most: number = Number.MAX_SAFE_INTEGER,
): number | undefined {
  const value = args.get(name);
  if (value === undefined) return undefined;
  const number = /^\d+$/.test(value) ? Number(value) : NaN;
  if (number >= least && number <= most) return number;
  const range = most === Number.MAX_SAFE_INTEGER
    ? `from ${least}`
    : `from ${least} to ${most}`;
  throw usageError(
    `Invalid --${name} ${shown(value)}: expected a whole number ${range}`,
  );
}

/** The value of an option in milliseconds. */
function duration(args: Arguments, name: ValueName): number | undefined {
  const value = args.get(name);
  if (value === undefined) return undefined;
  let milliseconds = 0;
  try {
    if (value !== "") milliseconds = parseDuration(value);
  } catch (error) {
    if (value.includes("://")) {
      throw usageError(
        `Invalid --${name} (a URL): expected a time such as "10s"`,
      );
    }
    const problem = (error as Error).message
      .replace(/, expected a number of seconds.*$/s, "");
    const hint = problem.includes("as in") ? "" : ', as in "10s" or "1m 30s"';
    throw usageError(`Invalid --${name}: ${problem}${hint}`);
  }
  if (milliseconds > 0) return milliseconds;
  throw usageError(
    `Invalid --${name} ${
      shown(value)
    }: expected more than nothing, as in "10s"`,
  );
}

function seconds(milliseconds: number | undefined): number | undefined {
  return milliseconds === undefined ? undefined : milliseconds / 1000;
}

const SIZE_UNITS = ["", "k", "m", "g"];

/** The value of an option in bytes; the units are powers of 1024. */
function size(args: Arguments, name: ValueName): number | undefined {
  const value = args.get(name);
  if (value === undefined) return undefined;
  const [, number, unit = ""] = /^(\d+)\s*(?:([kmg])i?b?|b)?$/i.exec(value) ??
    [];
  const bytes = Number(number) *
    1024 ** SIZE_UNITS.indexOf(unit.toLowerCase());
  if (bytes >= 1 && Number.isSafeInteger(bytes)) return bytes;
  throw usageError(
    `Invalid --${name} ${
      shown(value)
    }: expected a number of bytes, as in "64M" or "65536"`,
  );
}
