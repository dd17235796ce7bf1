import { format as formatDate } from "@std/datetime/format";
import {
  type ConnectOptions,
  parseDuration,
  type ReconnectOptions,
} from "../../mod.ts";
import { usageError } from "./exit.ts";
import { readBytes, readText } from "./files.ts";
import type { Flags } from "./flags.ts";
import { OPTIONS, type ValueName } from "./options.ts";
import { checkHeaders } from "../handshake/target.ts";
import { decodePercent } from "../text.ts";
import { type Ending, isCloseCode } from "./recording.ts";
import { authorization, headerLines, secret } from "./secrets.ts";
import { decodeText } from "./visible.ts";

/** How messages are written. */
export type Format = "text" | "json" | "ndjson";

/** What a tap is asked to do: the command line, checked. */
export interface TapSettings {
  /** Where to connect; the ones after the first are to fall back to. */
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
  /** The most messages of one window. */
  readonly max: number;
  /** Writes the time of arrival, `null` where none is asked for. */
  readonly time: ((time: Date) => string) | null;
  /** The file to append to, `null` for standard output. */
  readonly output: string | null;
  readonly binary: boolean;
  /** What to send once connected. */
  readonly send: readonly (string | Uint8Array)[];
}

/** What a replay is asked to do. */
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

/** What a ping is asked to do. */
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

/** Checks the flags of a tap, reading the files that they name. */
export function tapSettings(
  flags: Flags,
  urls: readonly string[],
): TapSettings {
  const batch = duration(flags, "batch") ?? null;
  if (batch === null && flags.get("max") !== undefined) {
    throw usageError("The option --max needs --batch");
  }
  const binary = flags.has("binary");
  const format = (choice(flags, "format") ?? "text") as Format;
  const time = timeFormat(flags);
  if (binary && time !== null && format === "text" && batch === null) {
    throw usageError(
      "The options --binary and --timestamps exclude each other: --format ndjson has both",
    );
  }
  return {
    urls,
    connect: connectOptions(flags),
    reconnect: reconnectOptions(flags),
    head: flags.has("head")
      ? "only"
      : flags.has("include")
      ? "stdout"
      : flags.has("quiet")
      ? "nowhere"
      : "stderr",
    quiet: flags.has("quiet"),
    verbose: flags.has("verbose"),
    summary: flags.has("summary"),
    count: whole(flags, "count") ?? Infinity,
    duration: duration(flags, "duration") ?? Infinity,
    format,
    batch,
    max: whole(flags, "max") ?? Infinity,
    time,
    output: text(flags, "output") ?? null,
    binary,
    send: [
      ...flags.all("send").map((message) =>
        binary ? new TextEncoder().encode(message) : message
      ),
      ...flags.all("send-file").map((path) => fileMessage(path, binary)),
    ],
  };
}

/** Checks the flags of a ping. */
export function pingSettings(
  flags: Flags,
  urls: readonly string[],
): PingSettings {
  return {
    urls,
    connect: connectOptions(flags, "direct"),
    verbose: flags.has("verbose"),
    count: whole(flags, "count") ?? Infinity,
    duration: duration(flags, "duration") ?? Infinity,
    interval: duration(flags, "interval") ?? 1_000,
    timeout: duration(flags, "ping-timeout") ?? 20_000,
  };
}

/** Checks the flags of a replay. */
export function replaySettings(
  flags: Flags,
  paths: readonly string[],
): ReplaySettings {
  const [path] = paths;
  if (path === undefined || path === "" || paths.length > 1) {
    throw usageError("Expected one file, as in wstap replay feed.ndjson");
  }
  const headers = flags.all("header").flatMap(headerLines);
  checkHeaders(headers);
  return {
    path,
    port: whole(flags, "port", 0, 65535) ?? 0,
    speed: speed(flags),
    loop: flags.has("loop"),
    headers,
    fault: fault(flags),
    refuse: refusal(flags),
  };
}

function speed(flags: Flags): number {
  const value = flags.get("speed") ?? "1";
  if (value === "max") return Infinity;
  const factor = /^(\d+\.?\d*|\.\d+)$/.test(value) ? Number(value) : 0;
  if (factor > 0 && factor < Infinity) return factor;
  throw usageError(
    `Invalid --speed ${shown(value)}: expected a number above 0, or max`,
  );
}

function fault(flags: Flags): Fault | null {
  const names = ["close-after", "drop-after", "stall-after"] as const;
  const given = names.filter((name) => flags.get(name) !== undefined);
  if (given.length > 1) {
    throw usageError(
      `The options ${
        listed(given.map((name) => `--${name}`), "and")
      } exclude each other`,
    );
  }
  switch (given[0]) {
    case "close-after": {
      const [after, code = 1000] = pair(flags, "close-after");
      if (after !== undefined && isCloseCode(code) && code !== 1005) {
        return { after, ending: { how: "closed", code, reason: "" } };
      }
      throw invalidPair(
        flags,
        "close-after",
        'a number of messages and a close code that may be sent, as in "10" or "10:1001"',
      );
    }
    case "drop-after":
      return { after: whole(flags, "drop-after", 0)!, ending: { how: "lost" } };
    case "stall-after":
      return {
        after: whole(flags, "stall-after", 0)!,
        ending: { how: "stalled" },
      };
  }
  return null;
}

function refusal(flags: Flags): ReplaySettings["refuse"] {
  if (flags.get("refuse") === undefined) return null;
  const [status = 0, count = Infinity] = pair(flags, "refuse");
  if (status >= 200 && status <= 599 && count >= 1) return { status, count };
  throw invalidPair(
    flags,
    "refuse",
    'a status from 200 to 599, and how many handshakes, as in "503" or "503:3"',
  );
}

/** The value of an option that is one whole number, or two with a colon between them. */
function pair(flags: Flags, name: ValueName): (number | undefined)[] {
  const [, first, second] =
    /^(\d{1,15})(?::(\d{1,15}))?$/.exec(flags.get(name)!) ??
      [];
  return [first, second].map((digits) =>
    digits === undefined ? undefined : Number(digits)
  );
}

function invalidPair(flags: Flags, name: ValueName, expected: string) {
  return usageError(
    `Invalid --${name} ${shown(flags.get(name)!)}: expected ${expected}`,
  );
}

function connectOptions(
  flags: Flags,
  capture = choice(flags, "capture") as ConnectOptions["capture"],
): ConnectOptions {
  const cert = text(flags, "cert");
  const key = text(flags, "key");
  if ((cert === undefined) !== (key === undefined)) {
    throw usageError("The options --cert and --key go together");
  }
  const proxy = text(flags, "proxy");
  const maxBuffer = size(flags, "max-buffer");
  return {
    protocols: flags.all("protocol"),
    headers: headers(flags),
    capture,
    redirect: choice(flags, "redirect") as ConnectOptions["redirect"],
    overflow: choice(flags, "overflow") as ConnectOptions["overflow"],
    handshakeTimeout: seconds(duration(flags, "timeout")),
    idleTimeout: seconds(duration(flags, "idle-timeout")),
    ...directOptions(flags, capture),
    // Someone waits for the prompt to come back.
    closeTimeout: "2s",
    // The format decides what becomes of binary messages.
    binary: "bytes",
    ...(maxBuffer !== undefined && { maxBuffer: { bytes: maxBuffer } }),
    http: {
      caCerts: flags.all("ca-cert").map((path) => readText("--ca-cert", path)),
      ...(cert !== undefined && key !== undefined && {
        cert: readText("--cert", cert),
        key: readText("--key", key),
      }),
      ...(proxy !== undefined &&
        { proxy: parseProxy(secret("--proxy", proxy)) }),
    },
  };
}

/** What only our own socket can do. */
function directOptions(
  flags: Flags,
  capture: ConnectOptions["capture"],
): ConnectOptions {
  const names = ["ping-interval", "ping-timeout"] as const;
  const given = flags.has("compress")
    ? "compress"
    : names.find((name) => flags.get(name) !== undefined);
  if (given !== undefined && capture !== "direct") {
    throw usageError(`The option --${given} needs --capture direct`);
  }
  return {
    compression: flags.has("compress"),
    pingInterval: seconds(duration(flags, "ping-interval")),
    pingTimeout: seconds(duration(flags, "ping-timeout")),
  };
}

function reconnectOptions(flags: Flags): TapSettings["reconnect"] {
  if (flags.has("reconnect")) {
    const minDelay = duration(flags, "min-delay");
    const maxDelay = duration(flags, "max-delay");
    if ((minDelay ?? 0) > (maxDelay ?? Infinity)) {
      throw usageError("The value of --min-delay is above that of --max-delay");
    }
    return {
      minDelay: seconds(minDelay),
      maxDelay: seconds(maxDelay),
      maxAttempts: whole(flags, "max-attempts"),
    };
  }
  for (const name of ["min-delay", "max-delay", "max-attempts"] as const) {
    if (flags.get(name) !== undefined) {
      throw usageError(`The option --${name} needs --reconnect`);
    }
  }
  return null;
}

function headers(flags: Flags): [string, string][] {
  const list = flags.all("header").flatMap(headerLines);
  const given = list.some(([name]) => name.toLowerCase() === "authorization");
  const value = authorization({
    user: flags.get("user"),
    bearer: flags.get("bearer"),
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

function timeFormat(flags: Flags): TapSettings["time"] {
  const format = text(flags, "time-format");
  if (format === undefined) {
    return flags.has("timestamps") ? (time) => time.toISOString() : null;
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
function text(flags: Flags, name: ValueName): string | undefined {
  const value = flags.get(name);
  if (value === "") throw usageError(`The value of --${name} is empty`);
  return value;
}

function choice(flags: Flags, name: ValueName): string | undefined {
  const value = flags.get(name);
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
  flags: Flags,
  name: ValueName,
  least = 1,
  most: number = Number.MAX_SAFE_INTEGER,
): number | undefined {
  const value = flags.get(name);
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
function duration(flags: Flags, name: ValueName): number | undefined {
  const value = flags.get(name);
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
function size(flags: Flags, name: ValueName): number | undefined {
  const value = flags.get(name);
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
