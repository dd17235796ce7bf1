import { assert, assertEquals, assertMatch } from "@std/assert";
import { test } from "./fixtures/captures.ts";
import { moduleFlags, output, path } from "./fixtures/command.ts";
import { shapingDaemon } from "./fixtures/kumomta.ts";
import { accept, serve } from "./fixtures/serve.ts";
import { eventually } from "./fixtures/wait.ts";

/** The flag that this process was started with, where it uses the stand-ins. */
const importMap = moduleFlags().filter((it) => it.startsWith("--import-map"));

/** Runs Deno, which must succeed. */
async function deno(...args: string[]) {
  const { code, ...result } = await output(Deno.execPath(), args, {
    cwd: path("."),
  });
  assertEquals(code, 0, result.stderr);
  return result;
}

/** Runs an example to its end. */
const run = (name: string, ...args: string[]) =>
  deno(
    ...["run", "--quiet", "--no-prompt", "--allow-net=127.0.0.1"],
    ...importMap,
    `examples/${name}`,
    ...args,
  );

const TESTED = [
  "batches.ts",
  "kumomta_events.ts",
  "receive.ts",
  "reconnect_by_hand.ts",
  "resume.ts",
];

Deno.test("each example is tested", async () => {
  const names = [];
  for await (const { name } of Deno.readDir(path("examples"))) {
    names.push(name);
  }
  assertEquals(names.sort(), TESTED);
});

Deno.test("each example passes the type check", async () => {
  await deno("check", ...importMap, "examples");
});

Deno.test("examples/receive.ts prints the response, the messages and the close", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => {
      socket.send("one");
      socket.send("two");
      socket.close(1000, "that is all");
    }, { headers: { "X-Session": "7" } })
  );
  const { stdout, stderr } = await run("receive.ts", server.url);
  assertEquals(stderr, "");
  const lines = stdout.trimEnd().split("\n");
  assertEquals(lines[0], "101 Switching Protocols");
  assertEquals(lines.includes("x-session: 7"), true);
  assertEquals(lines.slice(-3), ["one", "two", "closed 1000 that is all"]);
});

Deno.test("examples/batches.ts sends its request and takes the answer in batches", async () => {
  await using server = serve((request) =>
    accept(request, (socket) => {
      socket.onmessage = ({ data }) => {
        for (let i = 0; i < 150; i++) socket.send(`{"n":${i}}`);
        socket.send(data);
        socket.close(1000);
      };
    })
  );
  const { stdout, stderr } = await run("batches.ts", server.url);
  assertEquals(stderr, "");
  const counts = [...stdout.matchAll(/^(\d+) events/gm)].map(([, n]) => +n!);
  assertEquals(counts.reduce((a, b) => a + b, 0), 151);
  assertEquals(Math.max(...counts) <= 100, true);
  assertMatch(stdout, /the last of them \{ trace: "smtp" \}\n$/);
});

Deno.test("examples/resume.ts gets every event once, over losses", async () => {
  await using server = serve((request) => {
    const after = Number(new URL(request.url).searchParams.get("after"));
    return accept(request, (socket) => {
      for (let id = after + 1; id <= after + 3; id++) {
        socket.send(JSON.stringify({ id, text: `event ${id}` }));
      }
      socket.close(after === 6 ? 4000 : 3000);
    });
  });
  const { stdout, stderr } = await run(
    "resume.ts",
    `${server.url}/?a=b`,
    "10ms",
  );
  const events = Array.from({ length: 9 }, (_, i) => `${i + 1} event ${i + 1}`);
  assertEquals(stdout.trimEnd().split("\n"), events);
  assertMatch(
    stderr,
    /^(The connection was closed with code 3000; again in \d+ ms\n){2}$/,
  );
});

Deno.test("examples/reconnect_by_hand.ts goes on after a refusal", async () => {
  let requests = 0;
  await using server = serve((request) =>
    ++requests === 1
      ? new Response(null, { status: 503 })
      : accept(request, (socket) => {
        socket.send("at last");
        socket.close(1000);
      })
  );
  const { stdout, stderr } = await run(
    "reconnect_by_hand.ts",
    server.url,
    "10ms",
  );
  assertEquals(stdout, "at last\n");
  assertMatch(stderr, /HTTP error: 503 Service Unavailable; again in 10ms\n$/);
});

/** Runs an example that does not end, and gives the lines that it prints as they come. */
function follow(name: string, ...args: string[]) {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", "--allow-net=127.0.0.1"],
      ...importMap,
      `examples/${name}`,
      ...args,
    ],
    cwd: path("."),
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = { stdout: [] as string[], stderr: [] as string[] };
  const read = async (from: "stdout" | "stderr") => {
    let rest = "";
    for await (const text of child[from].pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      output[from].push(...lines);
    }
  };
  const reading = Promise.all([read("stdout"), read("stderr")]);
  return {
    ...output,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await child.status;
      await reading;
    },
  };
}

test("examples/kumomta_events.ts lives through what the daemon's own client lives through", async () => {
  await using daemon = shapingDaemon();
  await daemon.decide({ kind: "ReadyQSuspension", site: "site1.example" });
  // What stands before the daemon: not ready, then not trusting this host yet.
  daemon.refusal = 404;
  await using example = follow("kumomta_events.ts", daemon.url, "50ms");
  const { stdout, stderr } = example;
  const refused = (count: number, status: number) =>
    eventually(
      () => daemon.answers.filter((it) => it.status === status).length >= count,
      `${count} times ${status}`,
      60_000,
    );
  await refused(6, 404);
  daemon.refusal = 401;
  await refused(3, 401);
  daemon.refusal = 503;
  await refused(3, 503);
  daemon.refusal = null;
  const subscribed = () =>
    eventually(() => daemon.subscribers.size === 1, "a subscriber");
  await subscribed();
  for (const kind of ["SchedQSuspension", "SchedQBounce"] as const) {
    await daemon.decide({ kind, site: "site2.example", tenant: "t1" });
  }
  await eventually(() => stdout.length === 4, "all items");
  daemon.restart();
  await subscribed();
  await daemon.decide({ kind: "ReadyQSuspension", site: "site3.example" });
  await eventually(() => stdout.length === 6, "the new item");

  const expires =
    /until \d{4}-\d\d-\d\dT[\d:.]+Z automation rule: 450-go-away$/;
  const said = stdout.map((line) => line.replace(expires, ""));
  assertEquals(said, [
    "101 /subscribe_event_v1",
    "ReadyQSuspension site_name=site1.example source=src ",
    "SchedQSuspension domain=site2.example tenant=t1 ",
    "SchedQBounce domain=site2.example tenant=t1 ",
    "101 /subscribe_event_v1",
    "ReadyQSuspension site_name=site3.example source=src ",
  ]);
  for (const reason of ["404 Not Found", "401 Unauthorized", "was lost"]) {
    assert(
      stderr.some((it) => it.includes(reason) && it.endsWith("again in 50ms")),
      `${reason}: ${stderr.join("\n")}`,
    );
  }
  // Each round begins with the newer endpoint, and asks the older one after a 404 alone.
  daemon.answers.forEach(({ path }, index) => {
    const before = daemon.answers[index - 1];
    const isSecond = before?.status === 404 &&
      before.path === "/subscribe_event_v1";
    assertEquals(
      path,
      isSecond ? "/subscribe_suspension_v1" : "/subscribe_event_v1",
    );
  });
});

test("examples/kumomta_events.ts follows an older daemon, and the newer endpoint once there is one", async () => {
  await using daemon = shapingDaemon();
  daemon.generation = "older";
  await daemon.decide({ kind: "ReadyQSuspension", site: "site1.example" });
  await daemon.decide({
    ...{ kind: "SchedQSuspension", site: "site2.example", tenant: "t1" },
  });
  await using example = follow("kumomta_events.ts", daemon.url, "50ms");
  const { stdout } = example;
  await eventually(() => stdout.length === 3, "all items");
  daemon.generation = "newer";
  daemon.restart();
  await eventually(() => stdout.length === 4, "the newer endpoint");
  assertEquals(stdout.map((line) => line.split(" ").slice(0, 2).join(" ")), [
    "101 /subscribe_suspension_v1",
    "ReadyQSuspension site_name=site1.example",
    "SchedQSuspension domain=site2.example",
    "101 /subscribe_event_v1",
  ]);
});
