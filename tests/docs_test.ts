/** Runs the examples of the documentation that can run on their own. */

const FENCE = /^```ts(?<attributes>.*)\n(?<code>[^]*?)^```$/gm;

async function* documents(folder: URL): AsyncGenerator<URL> {
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (isDirectory) yield* documents(new URL(`${name}/`, folder));
    else if (name.endsWith(".ts")) yield new URL(name, folder);
  }
}

const root = new URL("../", import.meta.url);
const files = [new URL("README.md", root), new URL("mod.ts", root)];
for await (const file of documents(new URL("src/", root))) files.push(file);

for (const file of files.sort()) {
  const text = (await Deno.readTextFile(file)).replaceAll(/^ *\* ?/gm, "");
  for (const { groups, index } of text.matchAll(FENCE)) {
    // They are type-checked with the others; but they need a network.
    if (groups!.attributes!.includes("no-eval")) continue;
    const line = text.slice(0, index).split("\n").length;
    const name = file.href.slice(root.href.length);
    Deno.test(`the example at ${name}:${line} runs`, async () => {
      const code = encodeURIComponent(groups!.code!);
      await import(`data:application/typescript,${code}`);
    });
  }
}
