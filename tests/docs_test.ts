/**
 * Runs the examples of the documentation. Those that need a network (`no-eval`,
 * for `deno test --doc`) get a feed on this machine in its place.
 */

import { assert, assertEquals } from "@std/assert";

import { moduleFlags, output, path, rootUrl } from "./fixtures/command.ts";
import { accept, serve } from "./fixtures/serve.ts";
import { eventually } from "./fixtures/wait.ts";

const FENCE = /^```ts(?<attributes>.*)\n(?<code>[^]*?)^```$/gm;

/** Hosts that no example can reach. */
const HOST = /wss:\/\/[a-z.]*example(?:\.com)?(?=[/"`])/g;

/** Times of half a minute and more, in milliseconds. */
const LONG = /\b\d0_000\b/g;

/** The files of a folder and below. */
async function* documents(folder: URL, type: string): AsyncGenerator<URL> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) yield* documents(new URL(`${name}/`, folder), type);
    else if (name.endsWith(type)) yield new URL(name, folder);
  }
}

const files = [new URL("mod.ts", rootUrl), new URL("replay.ts", rootUrl)];
for await (const { name } of Deno.readDir(rootUrl)) {
  if (name.endsWith(".md")) files.push(new URL(name, rootUrl));
}
files.push(
  ...await Array.fromAsync(documents(new URL("src/", rootUrl), ".ts")),
  ...await Array.fromAsync(documents(new URL("docs/", rootUrl), ".md")),
);

/** Three events, and then the end. */
function feed() {
  return serve((request) =>
    accept(request, (socket) => {
      for (const id of [1, 2, 3]) socket.send(JSON.stringify({ id }));
      // An example may have something to say before that.
      const close = () => socket.close(4000, "that is all");
      const timer = setTimeout(close, 300);
      socket.addEventListener("message", close);
      socket.addEventListener("close", () => clearTimeout(timer));
    })
  );
}

/** Runs code as a module, without what it prints. */
async function run(code: string): Promise<void> {
  const { log, warn, error } = console;
  console.log = console.warn = console.error = () => {};
  try {
    await import(`data:application/typescript,${encodeURIComponent(code)}`);
  } finally {
    Object.assign(console, { log, warn, error });
  }
}

for (const file of files.sort()) {
  const name = file.href.slice(rootUrl.href.length);
  if (name === "docs/recipes.md") continue; // recipes_test.ts runs them
  if (name === "docs/recordings.md") continue; // replay_test.ts runs them
  const text = (await Deno.readTextFile(file)).replaceAll(/^ *\* ?/gm, "");
  for (const { groups, index } of text.matchAll(FENCE)) {
    const { attributes, code } = groups as { attributes: string; code: string };
    const line = text.slice(0, index).split("\n").length;
    if (attributes.includes("ignore")) continue; // it belongs into another file
    Deno.test(`the example at ${name}:${line} runs`, async () => {
      if (!attributes.includes("no-eval")) return await run(code);
      await using server = feed();
      await run(code.replaceAll(HOST, server.url).replaceAll(LONG, "100"));
      // An example need not close its connection: the feed does.
      await eventually(() => server.sockets.size === 0, "the feed has ended");
    });
  }
}

interface Declaration {
  kind: string;
  name?: string;
  jsDoc?: { tags?: { kind: string }[] };
}

for (const [module, least] of [["mod.ts", 11], ["replay.ts", 5]] as const) {
  Deno.test(`every export of ${module} has an example`, async () => {
    const examples = await examplesOf(module);
    assert(examples.size >= least);
    const bare = [...examples].filter(([, group]) =>
      !group.some(({ jsDoc }) =>
        jsDoc?.tags?.some((it) => it.kind === "example")
      )
    );
    assertEquals(bare.map(([name]) => name), []);
  });
}

/** The declarations of a module by their names. */
async function examplesOf(module: string) {
  const { stdout } = await output(Deno.execPath(), [
    ...["doc", "--json", ...importMapFlag(), path(module)],
  ]);
  const { nodes } = JSON.parse(stdout);
  // A list of declarations up to some version of Deno, since then grouped.
  const declarations: Declaration[] = Array.isArray(nodes)
    ? nodes
    : Object.values(nodes as Record<string, { symbols: never[] }>)
      .flatMap(({ symbols }) => symbols)
      .flatMap(({ name, declarations }: {
        name: string;
        declarations: Declaration[];
      }) => declarations.map((it) => ({ ...it, name })));
  return Map.groupBy(
    declarations.filter(({ kind }) => kind !== "moduleDoc"),
    ({ name }) => name,
  );
}

/** The import map alone: `deno doc` knows no other flag of these. */
function importMapFlag(): string[] {
  return moduleFlags().filter((flag) => flag.startsWith("--import-map"));
}

Deno.test("every link between the pages leads somewhere", async () => {
  const pages = files.filter(({ pathname }) => pathname.endsWith(".md"));
  const broken: string[] = [];
  for (const page of pages) {
    const text = await Deno.readTextFile(page);
    for (const [, link = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(link)) continue;
      const { hash, href } = new URL(link, page);
      const target = new URL(href.replace(/#.*/, ""));
      const found = await Deno.stat(target).then(
        async () =>
          hash === "" || headings(await Deno.readTextFile(target)).has(hash),
        () => false,
      );
      if (!found) broken.push(`${page.pathname}: ${link}`);
    }
  }
  assertEquals(broken, []);
});

/** The headings of a page, as links name them. */
function headings(text: string): Set<string> {
  const names = [...text.matchAll(/^#+ (.*)$/gm)].map(([, name]) =>
    name!.toLowerCase().replace(/[^\w\- ]/g, "").replaceAll(" ", "-")
  );
  return new Set(names.map((name) => `#${name}`));
}
