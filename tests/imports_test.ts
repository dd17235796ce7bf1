import { assert, assertEquals } from "@std/assert";
import { moduleFlags, output, path, rootUrl } from "./fixtures/command.ts";

/**
 * The layers of the code, and what each may import besides its own files. A file
 * belongs to the first layer whose pattern matches it. Types count, too.
 *
 * `pure` layers take bytes or values and do no I/O: their files name nothing that
 * reads, writes, connects or waits.
 */
const LAYERS: {
  name: string;
  files: RegExp;
  mayImport: readonly string[];
  pure?: boolean;
}[] = [
  {
    name: "command line",
    files: /^(cli\.ts|src\/cli\/.*)$/,
    mayImport: ["entrypoints", "door"],
  },
  {
    // What the command line uses of the inside, beyond the two modules.
    name: "door",
    files: /^src\/internal\.ts$/,
    mayImport: [
      ...["replay", "session", "queues", "websocket", "http"],
      ...["options", "helpers"],
    ],
  },
  {
    name: "entrypoints",
    files: /^(mod|replay)\.ts$/,
    mayImport: ["replay", "loop", "session", "http", "options", "helpers"],
  },
  {
    name: "replay",
    files: /^src\/replay\//,
    mayImport: ["session", "conn", "websocket", "http", "helpers"],
  },
  {
    name: "loop",
    files: /^src\/(connect|reconnect|retry|stoppable)\.ts$/,
    mayImport: [
      ...["native", "direct", "session", "handshake"],
      ...["seam", "http", "options", "helpers"],
    ],
  },
  {
    name: "native",
    files: /^src\/native\//,
    mayImport: ["handshake", "proxy", "seam", "http", "helpers"],
  },
  {
    name: "direct",
    files: /^src\/direct\//,
    mayImport: [
      ...["handshake", "proxy", "conn", "seam", "websocket", "http"],
      ...["queues", "helpers"],
    ],
  },
  {
    name: "proxy",
    files: /^src\/proxy\//,
    mayImport: ["handshake", "conn", "http", "helpers"],
  },
  {
    name: "handshake",
    files: /^src\/(handshake|refusal_body|tls_errors)\.ts$/,
    mayImport: ["http", "helpers"],
  },
  {
    name: "session",
    files: /^src\/(connection|session|silence)\.ts$/,
    mayImport: ["inbox", "queues", "seam", "options", "websocket", "helpers"],
  },
  {
    name: "options",
    files: /^src\/(options|certificates)\.ts$/,
    mayImport: ["inbox", "queues", "proxy", "http", "helpers"],
  },
  {
    name: "seam",
    files: /^src\/socket\.ts$/,
    mayImport: ["helpers"],
  },
  {
    name: "inbox",
    files: /^src\/inbox\.ts$/,
    mayImport: ["queues", "helpers"],
  },
  {
    name: "queues",
    files: /^src\/(arrivals|gate|queue)\.ts$/,
    mayImport: ["helpers"],
  },
  {
    // HTTP/1.1 over a connection.
    name: "conn",
    files: /^src\/conn\.ts$/,
    mayImport: ["http", "helpers"],
  },
  {
    name: "websocket",
    files: /^src\/websocket\//,
    mayImport: ["http", "helpers"],
    pure: true,
  },
  {
    name: "http",
    files: /^src\/http\//,
    mayImport: ["helpers"],
    pure: true,
  },
  {
    name: "helpers",
    files:
      /^src\/(checks|duration|errors|escape|random|response|timers|unless_aborted)\.ts$/,
    mayImport: [],
  },
];

/** What a file of a pure layer must not name. */
const IMPURE =
  /\b(?:Deno\.(?!errors\b|Proxy\b)\w+|fetch\(|new WebSocket\(|setTimeout|setInterval|setImmediate)/;

/** What they may import of Node's built-ins: `isUtf8()`, the reason phrases, and zlib, which is used synchronously. */
const PURE = ["node:buffer", "node:http", "node:zlib"];

interface Info {
  modules: {
    specifier: string;
    dependencies?: Record<"code" | "type", { specifier: string } | undefined>[];
  }[];
}

/** The imports of every file of the project that these files lead to, types too. */
async function imports(
  ...files: string[]
): Promise<Map<string, string[]>> {
  const graph = new Map<string, string[]>();
  for (const file of files) {
    const { code, stdout, stderr } = await output(Deno.execPath(), [
      ...["info", "--json", ...moduleFlags(), path(file)],
    ]);
    assertEquals(code, 0, stderr);
    const { modules } = JSON.parse(stdout) as Info;
    for (const { specifier, dependencies = [] } of modules) {
      if (!specifier.startsWith(rootUrl.href)) continue;
      const targets = dependencies.flatMap(({ code, type }) => [code, type])
        .flatMap((it) => it === undefined ? [] : [it.specifier]);
      graph.set(nameOf(specifier), targets.map(nameOf));
    }
  }
  return graph;
}

/** The path of a file of the project, as in `src/inbox.ts`. */
function nameOf(specifier: string): string {
  return specifier.replace(rootUrl.href, "");
}

const graph = await imports("cli.ts", "mod.ts", "replay.ts");
const own = [...graph.keys()].filter((file) =>
  /^(src\/|(cli|mod|replay)\.ts$)/.test(file)
);

Deno.test("imports, types too, never lead back to where they came from", () => {
  assert(own.length > 30);
  const done = new Set<string>();
  const visit = (file: string, trail: string[]) => {
    assert(!trail.includes(file), [...trail, file].join(" -> "));
    if (done.has(file)) return;
    for (const next of graph.get(file) ?? []) visit(next, [...trail, file]);
    done.add(file);
  };
  for (const file of own) visit(file, []);
});

function layerOf(file: string) {
  return LAYERS.find(({ files }) => files.test(file));
}

Deno.test("every source file belongs to a layer", () => {
  assertEquals(own.filter((file) => layerOf(file) === undefined), []);
});

Deno.test("every layer imports only what is below it", () => {
  const wrong = own.flatMap((file) => {
    const layer = layerOf(file)!;
    return graph.get(file)!
      .filter((target) => own.includes(target))
      .filter((target) => {
        const { name } = layerOf(target)!;
        return name !== layer.name && !layer.mayImport.includes(name);
      })
      .map((target) =>
        `${file} (${layer.name}) imports ${target} (${layerOf(target)!.name})`
      );
  });
  assertEquals(wrong, []);
});

for (const { name, files } of LAYERS.filter(({ pure }) => pure)) {
  Deno.test(`the files of ${name}/ do no I/O and wait for nothing`, async () => {
    const paths = own.filter((file) => files.test(file));
    assert(paths.length > 5);
    for (const file of paths) {
      const text = await Deno.readTextFile(new URL(file, rootUrl));
      const code = text.replace(/\/\*[^]*?\*\/|\/\/.*/g, "");
      assertEquals(IMPURE.exec(code)?.[0], undefined, file);
      for (const target of graph.get(file)!) {
        const isPure = !target.startsWith("node:") || PURE.includes(target);
        assert(isPure, `${file} imports ${target}`);
      }
    }
  });
}

Deno.test("mod.ts loads nothing of the replay module and of the command line", async () => {
  const files = [...(await imports("mod.ts")).keys()];
  assert(files.includes("src/connect.ts"));
  assertEquals(
    files.filter((it) => /^(src\/(replay|cli)\/|replay)/.test(it)),
    [],
  );
});
