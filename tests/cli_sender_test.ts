/** What a failure of sending means to the command line. */

import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { ConnectionClosedError } from "@wstap/wstap";
import type { Connection } from "../src/cli/commands/connect.ts";
import { Sender } from "../src/cli/commands/sender.ts";
import { Notes } from "../src/cli/terminal/stderr.ts";
import { test } from "./fixtures/captures.ts";

/** A connection on which sending fails, unless the error is `null`. */
function connectionThat(error: Error | null, sent: unknown[] = []): Connection {
  return {
    send: (message: unknown) => {
      if (error !== null) return Promise.reject(error);
      sent.push(message);
      return Promise.resolve();
    },
  } as Connection;
}

/** A sender of a message, or of a line of standard input. */
function senderOf(how: "an option" | "a line") {
  const outcome = { sent: 0 };
  async function* input() {
    yield [new TextEncoder().encode("hello")];
  }
  const isInput = how === "a line";
  const sender = new Sender(
    {
      send: isInput ? [] : ["hello"],
      binary: false,
      input: isInput,
      reconnect: null,
    },
    new Notes(true),
    input,
    () => outcome.sent++,
    null,
  );
  return { sender, outcome };
}

const over = new ConnectionClosedError("it is over", {
  code: 1006,
  reason: "",
  clean: false,
});

for (const how of ["an option", "a line"] as const) {
  test(`a failure that is not the end of the connection ends the sending of ${how}`, async () => {
    const { sender, outcome } = senderOf(how);
    const error = new TypeError("a defect");
    const failing = sender.attach(connectionThat(error));
    assertStrictEquals(await assertRejects(() => failing), error);
    assertEquals(outcome.sent, 0);
  });

  test(`the end of a connection is no failure of sending ${how}, which the next one gets`, async () => {
    const { sender, outcome } = senderOf(how);
    const first = sender.attach(connectionThat(over));
    // An option is given up on a connection that is over; a line waits for another.
    if (how === "an option") await first;
    else await new Promise((resolve) => setTimeout(resolve));
    assertEquals(outcome.sent, 0);
    const sent: unknown[] = [];
    await sender.attach(connectionThat(null, sent));
    await first;
    assertEquals(sent, ["hello"]);
    assertEquals(outcome.sent, 1);
  });
}
