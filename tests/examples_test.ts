import { assertEquals, assertMatch } from "@std/assert";
import { moduleFlags, output, path } from "./fixtures/command.ts";
import { accept, serve } from "./fixtures/serve.ts";

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
  await using server = serve((request) =>
    accept(request, (socket) => {
      socket.onmessage = ({ data }) => {
        const { after } = JSON.parse(data);
        for (let id = after + 1; id <= after + 3; id++) {
          socket.send(JSON.stringify({ id, text: `event ${id}` }));
        }
        socket.close(after === 6 ? 4000 : 3000);
      };
    })
  );
  const { stdout, stderr } = await run("resume.ts", server.url, "10ms");
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

/** A shaping daemon that closes its first connection, and ends the second. */
function daemon(endpoints: string[]) {
  let upgrades = 0;
  return serve((request) => {
    const { pathname } = new URL(request.url);
    if (!endpoints.includes(pathname)) {
      return new Response("no such endpoint", { status: 404 });
    }
    const turn = upgrades++;
    return accept(request, (socket) => {
      if (turn % 2 === 0) return; // the pre-flight's
      socket.send(JSON.stringify({ turn, endpoint: pathname }));
      socket.send(JSON.stringify({ turn, last: true }));
      socket.close(turn === 1 ? 1000 : 4000);
    });
  });
}

for (
  const [generation, endpoints, used] of [
    [
      "newer",
      ["/subscribe_event_v1", "/subscribe_suspension_v1"],
      "/subscribe_event_v1",
    ],
    ["older", ["/subscribe_suspension_v1"], "/subscribe_suspension_v1"],
  ] as const
) {
  Deno.test(`examples/kumomta_events.ts follows a daemon of the ${generation} generation`, async () => {
    await using server = daemon([...endpoints]);
    const { stdout, stderr } = await run(
      "kumomta_events.ts",
      server.url,
      "10ms",
    );
    const session = (turn: number) => [
      `101 ${used}`,
      `{ turn: ${turn}, endpoint: "${used}" }`,
      `{ turn: ${turn}, last: true }`,
    ];
    assertEquals(stdout.trimEnd().split("\n"), [...session(1), ...session(3)]);
    assertEquals(
      stderr,
      "The connection was closed with code 1000; again in 10ms\n",
    );
    const paths = server.requests.map(({ url }) => new URL(url).pathname);
    assertEquals(paths, [
      ...(generation === "older" ? ["/subscribe_event_v1"] : []),
      used,
      used,
      used,
      used,
    ]);
  });
}
