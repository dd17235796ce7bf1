import { ConnectionClosedError } from "../../mod.ts";
import type { TapSettings } from "./args.ts";
import { lines, standardInput } from "./input.ts";
import type { Connection } from "./sessions.ts";

/** Sends what the options name, then standard input line by line. */
export async function sendAll(
  connection: Connection,
  { send, binary }: Pick<TapSettings, "send" | "binary">,
): Promise<void> {
  try {
    for (const message of send) await connection.send(message);
    for await (const line of lines(standardInput())) {
      await connection.send(
        binary ? line.slice() : new TextDecoder().decode(line),
      );
    }
  } catch (error) {
    // Who receives learns of the end too, with the reason.
    if (!(error instanceof ConnectionClosedError)) throw error;
  }
}
