import denoJson from "../../deno.json" with { type: "json" };
import { HandshakeError } from "../../mod.ts";
import { describeUnread } from "./flags/variables.ts";
import {
  type Arguments,
  checkCommand,
  nearest,
  parseArguments,
} from "./flags/parse.ts";
import { startDemo } from "./commands/demo.ts";
import { EXIT, type ExitCode, explain, usageError } from "./errors.ts";
import { print } from "./files/output.ts";
import { Notes } from "./terminal/stderr.ts";
import { completions } from "./flags/completions.ts";
import { help } from "./flags/help.ts";
import { COMMANDS, type ValueName } from "./flags/table.ts";
import { ping } from "./commands/ping.ts";
import { replay } from "./commands/replay.ts";
import { whole } from "./flags/read.ts";
import { readSources, type Sources } from "./flags/sources.ts";
import {
  missingPassword,
  pingSettings,
  replaySettings,
  tapSettings,
} from "./flags/values.ts";
import { askPassword, mayAsk } from "./terminal/password.ts";
import { Stop } from "./stop.ts";
import { tap } from "./commands/tap.ts";

/** How long the demo taps its feed when nothing else ends it. */
const DEMO_DURATION = 10_000;

/**
 * Runs the command line.
 *
 * @param args The arguments, without the program's name.
 * @param version What `--version` says; an executable names its commit too.
 * @returns The code to end the process with.
 */
export async function main(
  args: readonly string[],
  version: string = denoJson.version,
): Promise<ExitCode> {
  let notes = new Notes(false);
  using stop = new Stop();
  try {
    const parsed = parseArguments(args);
    notes = new Notes(parsed.has("quiet"));
    stop.listen(() => notes.setLine(""));
    return await run(parsed, notes, stop, version);
  } catch (error) {
    const { code, message } = explain(error);
    notes.setLine("");
    if (message !== "") notes.error(message);
    const unread = isUnauthorized(error) ? describeUnread() : null;
    if (unread !== null) notes.say(unread);
    return code;
  }
}

/** Whether a server or a proxy wants credentials, which a variable may have held. */
function isUnauthorized(error: unknown): boolean {
  return error instanceof HandshakeError &&
    [401, 403, 407].includes(error.response?.status ?? 0);
}

async function run(
  args: Arguments,
  notes: Notes,
  stop: Stop,
  version: string,
): Promise<ExitCode> {
  const [first, ...rest] = args.positionals;
  if (args.has("help")) return await show(help(first));
  if (args.has("version")) return await show(`wstap ${version}\n`);
  switch (first) {
    case "completions":
      return await show(completions(rest));
    case "demo":
      checkCommand(args, "demo");
      return await demo(args, rest, notes, stop);
    case "ping":
      checkCommand(args, "ping");
      checkUrl(args, rest, "wstap ping wss://example.com/feed");
      return await withSources(
        args,
        notes,
        stop,
        (sources) => ping(pingSettings(args, rest, sources), notes, stop),
      );
    case "replay":
      checkCommand(args, "replay");
      return await withSources(
        args,
        notes,
        stop,
        (sources) => replay(replaySettings(args, rest, sources), notes, stop),
      );
  }
  const command = first === undefined || first.includes(":")
    ? undefined
    : nearest(first, COMMANDS);
  if (command !== undefined) {
    throw usageError(
      `Unknown command ${JSON.stringify(first)}: did you mean ${command}?`,
    );
  }
  checkCommand(args, "tap");
  checkUrl(args, args.positionals, "wstap wss://example.com/feed");
  return await withSources(
    args,
    notes,
    stop,
    (sources) => tap(tapSettings(args, args.positionals, sources), notes, stop),
  );
}

/** Runs a command with what its options name; without, if a signal ends the reading of it. */
async function withSources(
  args: Arguments,
  notes: Notes,
  stop: Stop,
  command: (sources: Sources) => Promise<ExitCode>,
): Promise<ExitCode> {
  const unread = args.has("verbose") ? describeUnread() : null;
  if (unread !== null) notes.say(unread);
  const sources = await readSources(args, stop.signal);
  if (sources === null) return stop.code!;
  const user = args.positionals[0] === "replay"
    ? null
    : missingPassword(args, sources);
  if (user !== null && mayAsk()) {
    const interrupt = () => stop.interrupt(EXIT.interrupted);
    const password = await askPassword(user, stop.signal, interrupt);
    if (password === null) return stop.code!;
    sources.passwords.set(user, password);
  }
  return await command(sources);
}

function checkUrl(
  args: Arguments,
  urls: readonly string[],
  example: string,
): void {
  if (urls.length > 0) return;
  // The URL was taken for the value of an option that came without its own.
  for (const { name, value } of args.given) {
    const values = value === undefined ? [] : args.all(name as ValueName);
    if (name === "proxy" || !values.some((it) => /^wss?:\/\//i.test(it))) {
      continue;
    }
    throw usageError(
      `The option --${name} needs a value before the URL: --${name} ${value}`,
    );
  }
  throw usageError(`A URL is missing, as in "${example}": see wstap --help`);
}

async function show(text: string): Promise<ExitCode> {
  await print(text);
  return EXIT.ended;
}

async function demo(
  args: Arguments,
  rest: readonly string[],
  notes: Notes,
  stop: Stop,
): Promise<ExitCode> {
  if (rest.length > 0) throw usageError("wstap demo takes no URL");
  const port = whole(args, "port", 0, 65535) ?? 0;
  if (!args.has("listen") && args.get("port") !== undefined) {
    throw usageError("The option --port needs --listen");
  }
  await using feed = startDemo(port);
  if (args.has("listen")) {
    await print(
      `${feed.url}/events\n${feed.url}/echo\n${feed.url}/refuse/404\n`,
    );
    await stop.aborted();
    return stop.code ?? EXIT.ended;
  }
  return await withSources(args, notes, stop, async (sources) => {
    const settings = tapSettings(args, [`${feed.url}/events`], sources);
    notes.say(`connecting to ${feed.url}/events, which this process serves`);
    const duration = Math.min(settings.duration, DEMO_DURATION);
    return await tap({ ...settings, duration }, notes, stop);
  });
}
