import denoJson from "../../deno.json" with { type: "json" };
import { tapSettings, whole } from "./args.ts";
import { completions } from "./completions.ts";
import { type Demo, startDemo } from "./demo.ts";
import { EXIT, type ExitCode, usageError } from "./exit.ts";
import { explain } from "./explain.ts";
import { type Flags, parseFlags } from "./flags.ts";
import { help } from "./help.ts";
import { Output } from "./output.ts";
import { Notes } from "./notes.ts";
import { Stop } from "./stop.ts";
import { tap } from "./tap.ts";

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
    const flags = parseFlags(args);
    notes = new Notes(flags.has("quiet"));
    stop.listen(() => notes.setLine(""));
    return await run(flags, notes, stop, version);
  } catch (error) {
    const { code, message } = explain(error);
    notes.setLine("");
    if (message !== "") notes.error(message);
    return code;
  }
}

async function run(
  flags: Flags,
  notes: Notes,
  stop: Stop,
  version: string,
): Promise<ExitCode> {
  const [first, ...rest] = flags.positionals;
  if (flags.has("help")) return await print(help());
  if (flags.has("version")) return await print(`wstap ${version}\n`);
  if (first === "completions") return await print(completions(rest));
  if (first === "demo") return await demo(flags, rest, notes, stop);
  if (flags.has("listen") || flags.get("port") !== undefined) {
    throw usageError("The options --listen and --port are for wstap demo");
  }
  if (first === undefined) {
    throw usageError(
      'A URL is missing, as in "wstap wss://example.com/feed": see wstap --help',
    );
  }
  return await tap(tapSettings(flags, flags.positionals), notes, stop);
}

async function demo(
  flags: Flags,
  rest: readonly string[],
  notes: Notes,
  stop: Stop,
): Promise<ExitCode> {
  if (rest.length > 0) throw usageError("wstap demo takes no URL");
  const port = whole(flags, "port", 0, 65535) ?? 0;
  if (!flags.has("listen") && flags.get("port") !== undefined) {
    throw usageError("The option --port needs --listen");
  }
  await using feed = listen(port);
  if (flags.has("listen")) {
    await print(
      `${feed.url}/events\n${feed.url}/echo\n${feed.url}/refuse/404\n`,
    );
    await stop.aborted();
    return stop.code ?? EXIT.ended;
  }
  const settings = tapSettings(flags, [`${feed.url}/events`]);
  notes.say(`tapping ${feed.url}/events, which this process feeds`);
  return await tap(
    {
      ...settings,
      duration: Math.min(settings.duration, DEMO_DURATION),
    },
    notes,
    stop,
  );
}

function listen(port: number): Demo {
  try {
    return startDemo(port);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) {
      throw usageError(
        `Cannot listen on port ${port}: ${(error as Error).message}`,
      );
    }
    throw error;
  }
}

async function print(text: string): Promise<ExitCode> {
  using output = new Output(null);
  await output.write(new TextEncoder().encode(text));
  return EXIT.ended;
}
