/**
 * Prints the public interface: each exported name of each entrypoint, with its
 * signatures and without its documentation.
 *
 * ```sh
 * deno run -A scripts/api.ts                          # prints it
 * deno run -A scripts/api.ts > tests/fixtures/api.txt # records it
 * ```
 *
 * A test compares the recorded interface with the present one, so that no change of
 * it goes unnoticed. A change is described in `CHANGELOG.md`, too.
 *
 * @module
 */

import denoJson from "../deno.json" with { type: "json" };

const root = new URL("../", import.meta.url);

/** A type, as `deno doc --json` describes it. */
interface Type {
  kind?: string;
  repr?: string;
  // deno-lint-ignore no-explicit-any -- its form depends on `kind`, and is that of Deno
  value?: any;
}

/** A parameter, a property or a method. */
interface Member {
  name?: string;
  kind?: string;
  optional?: boolean;
  readonly?: boolean;
  isStatic?: boolean;
  accessibility?: string;
  computed?: boolean;
  params?: Member[];
  typeParams?: TypeParameter[];
  returnType?: Type;
  tsType?: Type;
  left?: Member;
  arg?: Member;
  elements?: Member[];
  functionDef?: Member;
}

interface TypeParameter {
  name: string;
  constraint?: Type;
  default?: Type;
}

interface Definition extends Member {
  hasBody?: boolean;
  extends?: string | Type[];
  implements?: Type[];
  constructors?: Member[];
  properties?: Member[];
  methods?: Member[];
  callSignatures?: Member[];
}

interface Declaration {
  kind: string;
  def: Definition;
  declarationKind: string;
}

interface Documentation {
  nodes: Record<
    string,
    { symbols: { name: string; declarations: Declaration[] }[] }
  >;
}

/** Prints a type as TypeScript does. */
function typeText(type: Type | undefined): string {
  if (type === undefined) return "?";
  const { kind, repr = "", value } = type;
  const list = (types: Type[], separator: string) =>
    types.map(typeText).join(separator);
  switch (kind) {
    case "keyword":
      return repr;
    case "literal":
      return value.kind === "string" ? JSON.stringify(value.string) : repr;
    case "typeRef":
      return value.typeName +
        (value.typeParams?.length > 0
          ? `<${list(value.typeParams, ", ")}>`
          : "");
    case "union":
      return list(value, " | ");
    case "intersection":
      return list(value, " & ");
    case "array":
      return /union|fnOrConstructor|intersection/.test(value.kind)
        ? `(${typeText(value)})[]`
        : `${typeText(value)}[]`;
    case "tuple":
      return `[${list(value, ", ")}]`;
    case "parenthesized":
      return `(${typeText(value)})`;
    case "fnOrConstructor":
      return `${parameters(value)} => ${typeText(value.tsType)}`;
    case "typeLiteral":
      return `{ ${members(value).join("; ")} }`;
    case "typeOperator":
      return `${value.operator} ${typeText(value.tsType)}`;
    case "indexedAccess":
      return `${typeText(value.objType)}[${typeText(value.indexType)}]`;
    default:
      return repr === "" ? JSON.stringify(type) : repr;
  }
}

function typeParameters(list: TypeParameter[] = []): string {
  if (list.length === 0) return "";
  const texts = list.map(({ name, constraint, default: value }) =>
    name + (constraint ? ` extends ${typeText(constraint)}` : "") +
    (value ? ` = ${typeText(value)}` : "")
  );
  return `<${texts.join(", ")}>`;
}

function parameter(it: Member): string {
  if (it.kind === "assign" && it.left) {
    return `${it.left.name}?: ${typeText(it.left.tsType)}`;
  }
  if (it.kind === "rest" && it.arg) return `...${parameter(it.arg)}`;
  const name = it.name ?? "{}";
  return `${name}${it.optional ? "?" : ""}: ${typeText(it.tsType)}`;
}

function parameters({ typeParams, params = [] }: Member): string {
  return `${typeParameters(typeParams)}(${params.map(parameter).join(", ")})`;
}

/** Prints the members of a class, an interface or an object type, one line each. */
function members(
  { properties = [], methods = [], callSignatures = [] }: Definition,
): string[] {
  return [
    ...properties.filter(isPublic).map((it) =>
      `${it.isStatic ? "static " : ""}${
        it.readonly ? "readonly " : ""
      }${it.name}${it.optional ? "?" : ""}: ${typeText(it.tsType)}`
    ),
    ...methods.filter(isPublic).map((it) => {
      const { returnType, ...rest } = { ...it, ...it.functionDef };
      const name = `${it.isStatic ? "static " : ""}${it.name}${
        it.optional ? "?" : ""
      }`;
      return it.kind === "getter"
        ? `get ${name}: ${typeText(returnType)}`
        : `${name}${parameters(rest)}: ${typeText(returnType)}`;
    }),
    ...callSignatures.map((it) => `${parameters(it)}: ${typeText(it.tsType)}`),
  ];
}

function isPublic({ accessibility, name }: Member): boolean {
  return accessibility === undefined && !name?.startsWith("#");
}

function declarationLines(name: string, { kind, def }: Declaration): string[] {
  const types = typeParameters(def.typeParams);
  switch (kind) {
    case "function":
      return [
        `function ${name}${parameters(def)}: ${typeText(def.returnType)}`,
      ];
    case "typeAlias":
      return [`type ${name}${types} = ${typeText(def.tsType)}`];
    case "interface": {
      const bases = (def.extends as Type[] | undefined ?? []).map(typeText);
      const heritage = bases.length > 0 ? ` extends ${bases.join(", ")}` : "";
      return [
        `interface ${name}${types}${heritage}`,
        ...members(def).sort().map((line) => `  ${line}`),
      ];
    }
    case "class": {
      const base = def.extends ? ` extends ${def.extends}` : "";
      const contracts = (def.implements ?? []).map(typeText);
      return [
        `class ${name}${types}${base}${
          contracts.length > 0 ? ` implements ${contracts.join(", ")}` : ""
        }`,
        ...(def.constructors ?? []).map((it) =>
          `  constructor${parameters(it)}`
        ),
        ...members(def).sort().map((line) => `  ${line}`),
      ];
    }
    default:
      return [`${kind} ${name}: ${typeText(def.tsType)}`];
  }
}

/** Returns the public interface as text: a part for each entrypoint, a line for each signature. */
export async function describeApi(flags: readonly string[]): Promise<string> {
  const parts: string[] = [];
  for (const [name, path] of Object.entries(denoJson.exports)) {
    const { success, stdout, stderr } = await new Deno.Command(
      Deno.execPath(),
      {
        args: ["doc", "--json", ...flags, new URL(path, root).href],
        cwd: root,
        env: { NO_COLOR: "1" },
      },
    ).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    if (!success) throw new Error(`deno doc ${path} failed: ${text(stderr)}`);
    const { nodes } = JSON.parse(text(stdout)) as Documentation;
    const symbols = Object.values(nodes).flatMap(({ symbols }) => symbols)
      .toSorted((a, b) => a.name < b.name ? -1 : 1);
    const lines = symbols.flatMap(({ name, declarations }) =>
      declarations.filter((it) => it.declarationKind === "export")
        // With overloads, the signature of the implementation is not public.
        .filter((it, _, all) =>
          it.kind !== "function" || all.length === 1 || !it.def.hasBody
        )
        .flatMap((it) => declarationLines(name, it))
    );
    parts.push([`# ${name}`, ...lines].join("\n") + "\n");
  }
  return parts.join("\n");
}

if (import.meta.main) {
  console.log((await describeApi(Deno.args)).trimEnd());
}
