/**
 * Runs the examples of the documentation. Those that need a network (`no-eval`,
 * for `deno test --doc`) get a feed on this machine in its place.
 */

import { assert, assertEquals, assertMatch } from "@std/assert";

import {
  moduleFlags,
  output,
  path,
  rootUrl,
  workplace,
} from "./fixtures/command.ts";
import { accept, serve } from "./fixtures/serve.ts";
import { delay, eventually } from "./fixtures/wait.ts";

const FENCE = /^```ts(?<attributes>.*)\n(?<code>[^]*?)^```$/gm;

/** Hosts that no example can reach. */
const HOST = /wss:\/\/[a-z.]*example(?:\.com)?(?=[/"`])/g;

/** Times of half a minute and more, in milliseconds; a signal would end what is slow here. */
const LONG = /(?<!AbortSignal\.timeout\()\b\d0_000\b/g;

/** A signal for the whole session, and how long it is here: a busy machine connects within. */
const SIGNAL = /(?<=AbortSignal\.timeout\()\d0_000(?=\))/g;
const SESSION = 5000;

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

/** Three events, and then the end: `patience` milliseconds later, or at a message. */
function feed(patience: number) {
  return serve((request) =>
    accept(request, (socket) => {
      for (const id of [1, 2, 3]) socket.send(JSON.stringify({ id }));
      // An example may have something to say before that.
      const close = () => socket.close(4000, "that is all");
      const timer = setTimeout(close, patience);
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
    const needsFeed = attributes.includes("no-eval");
    Deno.test({
      name: `the example at ${name}:${line} runs`,
      // An example need not close its connection: the feed does, and the end of
      // the client may come after that of the test.
      sanitizeOps: !needsFeed,
      sanitizeResources: !needsFeed,
      async fn() {
        if (!needsFeed) return await run(code);
        // Nothing may be sent behind the end, however busy the machine is.
        const talks = /\b(send|ping)\(/.test(code);
        await using server = feed(talks ? 2000 : 300);
        const begun = performance.now();
        await run(
          code.replaceAll(HOST, server.url)
            .replaceAll(SIGNAL, `${SESSION}`)
            .replaceAll(LONG, "100"),
        );
        await eventually(
          () => server.sockets.size === 0,
          "the feed has ended",
        );
        // No timer may outlive the test.
        if (code.search(SIGNAL) >= 0) {
          await delay(SESSION + 100 - (performance.now() - begun));
        }
      },
    });
  }
}

interface Documented {
  name: string;
  optional?: boolean;
  jsDoc?: { doc?: string; tags?: { kind: string; value?: string }[] };
}

interface Members {
  properties?: Documented[];
  methods?: Documented[];
}

interface Declaration extends Documented {
  kind: string;
  def?: Members;
  /** What `def` is called up to some version of Deno. */
  interfaceDef?: Members;
}

for (const [module, least] of [["mod.ts", 11], ["replay.ts", 5]] as const) {
  Deno.test(`every export of ${module} has an example`, async () => {
    const examples = await declarationsOf(module);
    assert(examples.size >= least);
    const bare = [...examples].filter(([, group]) =>
      !group.some(({ jsDoc }) =>
        jsDoc?.tags?.some((it) => it.kind === "example")
      )
    );
    assertEquals(bare.map(([name]) => name), []);
  });
}

for (const module of ["mod.ts", "replay.ts"]) {
  Deno.test(`every link in the comments of ${module} leads to an export`, async () => {
    const exported = await declarationsOf(module);
    const links = [...(await documentation(module)).matchAll(
      /\{@link\w* ([^}]*)\}/g,
    )].map(([, name]) => name!);
    assert(links.length > 0);
    // To any other name it would lead nowhere, or to what Deno calls so.
    assertEquals(links.filter((name) => !exported.has(name)), []);
  });
}

/** What `deno doc` says of a module, as JSON. */
async function documentation(module: string): Promise<string> {
  const { stdout } = await output(Deno.execPath(), [
    ...["doc", "--json", ...importMapFlag(), path(module)],
  ]);
  return stdout;
}

/** The declarations of a module by their names. */
async function declarationsOf(module: string) {
  const { nodes } = JSON.parse(await documentation(module));
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

/** The interfaces of the options, the page that explains them, and how many there are at least. */
const OPTIONS: [module: string, name: string, page: string, least: number][] = [
  ["mod.ts", "ConnectOptions", "docs/options.md", 20],
  ["mod.ts", "HttpOptions", "docs/options.md", 6],
  ["mod.ts", "Heartbeat", "docs/options.md", 2],
  ["mod.ts", "ReconnectOptions", "docs/options.md", 12],
  ["mod.ts", "RecvOptions", "docs/options.md", 2],
  ["mod.ts", "BatchOptions", "docs/options.md", 2],
  ["mod.ts", "PingOptions", "docs/options.md", 2],
  ["replay.ts", "ReplayOptions", "docs/recordings.md", 11],
];

for (const [module, name, page, least] of OPTIONS) {
  Deno.test(`every property of ${name} stands in ${page}, and names its default`, async () => {
    const [declaration] = (await declarationsOf(module)).get(name) ?? [];
    const { properties = [], methods = [] } = declaration?.def ??
      declaration?.interfaceDef ?? {};
    const options = [...properties, ...methods];
    assert(options.length >= least, `${options.length}`);
    const entries = entriesOf(await Deno.readTextFile(path(page)));
    for (const option of options) {
      const entry = entries.get(option.name);
      assert(entry !== undefined, `${option.name} has no entry in ${page}`);
      if (!option.optional) continue;
      const { doc = "", tags = [] } = option.jsDoc ?? {};
      const value = tags.find(({ kind }) => kind === "default")?.value;
      assert(
        value !== undefined || /\bdefault/i.test(doc),
        `the comment of ${option.name} names no default`,
      );
      if (value === undefined || page !== "docs/options.md") continue;
      assert(
        plain(entry).includes(plain(value)),
        `${page} does not say that the default of ${option.name} is ${value}`,
      );
    }
  });
}

/** Numbers without what groups their digits. */
const plain = (text: string) => text.replaceAll(/(?<=\d)[,_](?=\d)/g, "");

/**
 * What a page says of each name: the section whose heading it is, and the paragraphs
 * and the rows of tables that have it in backticks.
 */
function entriesOf(page: string): Map<string, string> {
  const entries = new Map<string, string>();
  const add = (name: string, text: string) =>
    entries.set(name, `${entries.get(name) ?? ""}\n${text}`);
  for (const section of page.split(/^#+ /m).slice(1)) {
    add(section.slice(0, section.indexOf("\n")), section);
    for (const paragraph of section.split("\n\n")) {
      const blocks = paragraph.startsWith("|")
        ? paragraph.split("\n")
        : [paragraph];
      for (const block of blocks) {
        const code = [...block.matchAll(/`([^`]+)`/g)].map(([, it]) => it);
        const names = new Set(code.join(" ").match(/\w+/g));
        for (const name of names) add(name, block);
      }
    }
  }
  return entries;
}

Deno.test("the API documentation is built without a warning", async () => {
  await using place = await workplace({});
  const { code, stderr } = await output(Deno.execPath(), [
    ...["doc", "--html", "--name=wstap", `--output=${place.folder}/html`],
    ...[...importMapFlag(), path("mod.ts"), path("replay.ts")],
  ]);
  assertEquals(code, 0, stderr);
  assertMatch(stderr, /^(?:Check .*\n)*Written \d+ files to ".*"\n$/);
});

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

for (const page of ["SECURITY.md", "ARCHITECTURE.md"]) {
  Deno.test(`every test that ${page} names exists`, async () => {
    const text = await Deno.readTextFile(path(page));
    const missing: string[] = [];
    let names = 0;
    for (const row of text.split("\n").filter((line) => line.startsWith("|"))) {
      let [file, source] = ["", ""];
      // A file in backticks, or the name of a test in the file before it.
      for (
        const [, it, name] of row.matchAll(
          /`([\w/]+_test\.ts)`|`[^`]*`|"([^"]+)"/g,
        )
      ) {
        if (it !== undefined) {
          file = `tests/${it.replace(/^tests\//, "")}`;
          source = await Deno.readTextFile(path(file)).catch(() => "");
          if (source === "") missing.push(file);
        } else if (name !== undefined && file !== "") {
          names++;
          const found = name.split("…").every((part) =>
            source.includes(part.trim())
          );
          if (!found) missing.push(`${file}: ${name}`);
        }
      }
    }
    assert(names > 10, `${names}`);
    assertEquals(missing, []);
  });
}

Deno.test("every function and file that ARCHITECTURE.md names exists", async () => {
  const text = await Deno.readTextFile(path("ARCHITECTURE.md"));
  const sources = await Promise.all(
    files.filter(({ pathname }) => pathname.endsWith(".ts"))
      .map((file) => Deno.readTextFile(file)),
  );
  const all = sources.join("\n");
  const functions = text.matchAll(/`(?:[\w/.]+\.)?(\w+)\(\)`/g);
  const names = new Set([...functions].map(([, name]) => name!));
  assert(names.size > 10, `${names.size}`);
  assertEquals([...names].filter((name) => !all.includes(`${name}(`)), []);
  const paths = [...text.matchAll(/`([\w/]+\.ts)`/g)].map(([, it]) => it!);
  assert(paths.length > 20, `${paths.length}`);
  const known = [...files.map(({ pathname }) => pathname)];
  const tests = await Array.fromAsync(
    documents(new URL("tests/", rootUrl), ".ts"),
  );
  known.push(...tests.map(({ pathname }) => pathname));
  assertEquals(
    paths.filter((it) => !known.some((file) => file.endsWith(`/${it}`))),
    [],
  );
});

Deno.test("the filter of the first test in CONTRIBUTING.md chooses that test alone", async () => {
  const text = await Deno.readTextFile(path("CONTRIBUTING.md"));
  const [, name = ""] = /each\.test\("([^"]+)"/.exec(text)!;
  const [, filter = ""] = /test --filter "([^"]+)"\n/.exec(text)!;
  assert(name.includes(filter), filter);
  const tests = documents(new URL("tests/", rootUrl), "_test.ts");
  for await (const file of tests) {
    assert(!(await Deno.readTextFile(file)).includes(filter), file.pathname);
  }
});

Deno.test("no issue form has the option none, which GitHub reserves", async () => {
  const forms = documents(new URL(".github/ISSUE_TEMPLATE/", rootUrl), ".yml");
  for await (const form of forms) {
    const text = await Deno.readTextFile(form);
    assert(!/^ *- *none *$|[[,] *none *[\],]/im.test(text), form.pathname);
  }
});

/** The headings of a page, as links name them. */
function headings(text: string): Set<string> {
  const names = [...text.matchAll(/^#+ (.*)$/gm)].map(([, name]) =>
    name!.toLowerCase().replace(/[^\w\- ]/g, "").replaceAll(" ", "-")
  );
  return new Set(names.map((name) => `#${name}`));
}
