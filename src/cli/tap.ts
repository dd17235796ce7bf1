import type { HandshakeResponse } from "../../mod.ts";
import type { TapSettings } from "./args.ts";
import { EXIT, type ExitCode } from "./exit.ts";
import { createRender } from "./format.ts";
import { responseHead } from "./head.ts";
import { Output, OutputClosed } from "./output.ts";
import { arrivals } from "./receive.ts";
import { sendAll } from "./send.ts";
import { type Connection, sessions } from "./sessions.ts";
import type { Notes } from "./status.ts";
import type { Stop } from "./stop.ts";

/** Connects, and writes what comes until the feed, a limit or a signal ends it. */
export async function tap(
  settings: TapSettings,
  notes: Notes,
  stop: Stop,
): Promise<ExitCode> {
  using output = new Output(settings.output);
  let connection: Connection | null = null;
  let timed = false;
  const handshake = new AbortController();
  stop.signal.addEventListener("abort", () => {
    if (connection === null) handshake.abort();
    else void connection.close();
  });
  try {
    for await (
      const session of sessions(settings, handshake.signal)
    ) {
      connection = session.connection;
      if (!timed) stop.requestAfter(settings.duration, EXIT.ended);
      timed = true;
      if (stop.signal.aborted) break;
      await showHead(session.response, settings, notes, output);
      if (settings.head === "only") break;
      void sendAll(connection, settings);
      await receive(connection, settings, output);
    }
  } catch (error) {
    if (!(error instanceof OutputClosed) && stop.code === null) throw error;
  } finally {
    await (connection as Connection | null)?.close();
  }
  return stop.code ?? EXIT.ended;
}

/** Writes what comes, until the feed or the count ends. */
async function receive(
  connection: Connection,
  settings: TapSettings,
  output: Output,
): Promise<void> {
  const render = createRender(settings, {
    isTerminal: output.isTerminal,
    colors: output.isTerminal && !Deno.noColor,
  });
  let left = settings.count;
  for await (
    const messages of arrivals(connection, settings, () => left)
  ) {
    const { chunk } = render(messages, new Date());
    await output.write(chunk);
    left -= messages.length;
    if (left === 0) return;
  }
}

async function showHead(
  response: HandshakeResponse,
  { head }: TapSettings,
  notes: Notes,
  output: Output,
): Promise<void> {
  if (head === "nowhere") return;
  if (head === "stderr") {
    notes.write(responseHead(response, { safe: true, colors: notes.colors }));
    return;
  }
  const text = responseHead(response, {
    safe: output.isTerminal,
    colors: output.isTerminal && !Deno.noColor,
  });
  await output.write(new TextEncoder().encode(text));
}
