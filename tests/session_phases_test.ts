/** A session over a socket that the test drives: what no real one does at a chosen moment. */

import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { FakeTime } from "@std/testing/time";
import { ConnectionClosedError, type ConnectOptions } from "@wstap/wstap";
import { parseOptions } from "../src/options.ts";
import { Session } from "../src/session.ts";
import type { Socket, SocketEnd, SocketEvents } from "../src/socket.ts";
import { test } from "./fixtures/captures.ts";

/** A socket that notes what it is told to do. */
class DrivenSocket implements Socket {
  readonly protocol = "";
  readonly extensions = "";
  readonly canWait = true;
  readonly log: string[] = [];
  readonly pong = Promise.withResolvers<number>();
  readonly ping = () => this.pong.promise;
  events!: SocketEvents;

  start(events: SocketEvents): void {
    this.events = events;
  }

  send(data: string | Uint8Array): null {
    this.log.push(`send ${data}`);
    return null;
  }

  isSendQueueFull(): boolean {
    return false;
  }

  close(code: number): void {
    this.log.push(`close ${code}`);
  }

  terminate(end: SocketEnd): void {
    this.log.push("terminate");
    this.events.onEnd(end);
    this.events.onRelease();
  }
}

/** A session with these options, and its socket. */
function driven(options: ConnectOptions = {}) {
  const socket = new DrivenSocket();
  const settings = parseOptions({ ...options, capture: "direct" });
  return { socket, session: new Session({ socket, settings }) };
}

const LOST = { code: 1006, reason: "", clean: false };

test("a session whose signal has aborted before it begins ends at once, with the reason", async () => {
  const reason = new Error("enough");
  const { socket, session } = driven({ signal: AbortSignal.abort(reason) });
  assertEquals(socket.log, ["terminate"]);
  assertEquals(await session.closed, LOST);
  assertStrictEquals(
    await assertRejects(() => session.inbox.take()),
    reason,
  );
});

test("a session that is closing hands nothing to its socket, and closes it once", async () => {
  const { socket, session } = driven();
  const closed = session.close(1000, "");
  socket.events.onSendEnd();
  const error = await assertRejects(
    () => session.send("late"),
    ConnectionClosedError,
  );
  assertEquals(error.message, "Cannot send: the connection is closing");
  void session.close(4000, "");
  assertEquals(socket.log, ["close 1000"]);
  socket.terminate({ ...LOST, problem: "" });
  assertEquals(await closed, LOST);
});

test("while a ping waits, and no longer, messages are taken up to the limit itself", async () => {
  const { socket, session } = driven({ maxBuffer: { messages: 16 } });
  const take = (count: number) => {
    let more = true;
    for (let i = 0; i < count; i++) more = socket.events.onMessage("m");
    return more;
  };
  assertEquals(take(5), false);
  const ping = session.ping({ timeout: undefined, signal: undefined });
  assertEquals(take(1), true);
  socket.pong.resolve(7);
  assertEquals(await ping, 7);
  assertEquals(take(1), false);
  socket.terminate({ ...LOST, problem: "" });
});

test("no heartbeat is asked for once nothing can be sent", () => {
  using time = new FakeTime();
  let asked = 0;
  const { socket } = driven({
    heartbeat: { interval: "1s", message: () => `${++asked}` },
  });
  time.tick(1000);
  socket.events.onSendEnd();
  time.tick(10_000);
  assertEquals(asked, 1);
  assertEquals(socket.log, ["send 1"]);
  socket.terminate({ ...LOST, problem: "" });
  return Promise.resolve();
});
