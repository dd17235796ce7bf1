/**
 * Writes the files with which package managers install a release, into the folder
 * of the release: a formula for Homebrew, a manifest for Scoop, a flake for Nix, and
 * a Dockerfile. The checksums in them are those of `SHA256SUMS`.
 *
 * ```sh
 * deno run -A scripts/packages.ts [FOLDER]   # dist/release by default
 * ```
 *
 * @module
 */

import denoJson from "../deno.json" with { type: "json" };
import { TARGETS } from "./compile.ts";
import { writeSums } from "./package.ts";

type Target = typeof TARGETS[number];

const HOMEPAGE = "https://github.com/wstap/wstap";
const DESCRIPTION = "WebSocket client that shows the response of the handshake";

/** An archive of a release. */
interface Archive {
  readonly target: Target;
  readonly name: string;
  readonly url: string;
  /** The SHA-256 sum, in hexadecimal. */
  readonly sum: string;
}

/** Reads the archives and their sums from the text of `SHA256SUMS`. */
export function parseSums(
  text: string,
  version: string = denoJson.version,
): Archive[] {
  const archives = text.split("\n").flatMap((line): Archive[] => {
    const [, sum = "", name = ""] = /^([0-9a-f]{64}) {2}(.+)$/.exec(line) ?? [];
    const target = TARGETS.find((it) =>
      name === `wstap-${it}.tar.gz` || name === `wstap-${it}.zip`
    );
    const url = `${HOMEPAGE}/releases/download/v${version}/${name}`;
    return target === undefined ? [] : [{ target, name, url, sum }];
  });
  if (archives.length === 0) throw new Error("SHA256SUMS lists no archive");
  return archives;
}

/** The archive of each of these targets, as a function of it; `""` where the release has none. */
function forTarget(archives: readonly Archive[]) {
  return (target: Target, text: (archive: Archive) => string) => {
    const found = archives.find((it) => it.target === target);
    return found === undefined ? "" : text(found);
  };
}

/** Returns a formula for Homebrew. */
export function formula(
  archives: readonly Archive[],
  version: string = denoJson.version,
): string {
  const of = forTarget(archives);
  const source = ({ url, sum }: Archive) =>
    `      url "${url}"\n      sha256 "${sum}"\n`;
  const system = (name: string, arm: Target, intel: Target) => {
    const parts = [
      of(arm, (it) => `    on_arm do\n${source(it)}    end\n`),
      of(intel, (it) => `    on_intel do\n${source(it)}    end\n`),
    ].filter((part) => part !== "");
    return parts.length === 0
      ? ""
      : `\n  on_${name} do\n${parts.join("\n")}  end\n`;
  };
  return `class Wstap < Formula
  desc "${DESCRIPTION}"
  homepage "${HOMEPAGE}"
  version "${version}"
  license "MIT"
${system("macos", "aarch64-apple-darwin", "x86_64-apple-darwin")}${
    system("linux", "aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu")
  }
  def install
    bin.install "wstap"
    man1.install "wstap.1"
    generate_completions_from_executable(bin/"wstap", "completions")
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/wstap --version")
  end
end
`;
}

/** Returns a manifest for Scoop. */
export function scoop(
  archives: readonly Archive[],
  version: string = denoJson.version,
): string {
  const architecture = Object.fromEntries(
    ([
      ["64bit", "x86_64-pc-windows-msvc"],
      ["arm64", "aarch64-pc-windows-msvc"],
    ] as const).flatMap(([name, target]) => {
      const found = archives.find((it) => it.target === target);
      return found === undefined ? [] : [[name, {
        url: found.url,
        hash: found.sum,
        extract_dir: `wstap-${target}`,
      }]];
    }),
  );
  const update = Object.fromEntries(
    Object.entries(architecture).map(([name, { url }]) => [name, {
      url: url.replaceAll(version, "$version"),
    }]),
  );
  const manifest = {
    version,
    description: DESCRIPTION,
    homepage: HOMEPAGE,
    license: "MIT",
    architecture,
    bin: "wstap.exe",
    checkver: { github: HOMEPAGE },
    autoupdate: {
      architecture: update,
      hash: { url: "$baseurl/SHA256SUMS" },
    },
  };
  return JSON.stringify(manifest, null, 4) + "\n";
}

/** Returns a flake for Nix. */
export function flake(
  archives: readonly Archive[],
  version: string = denoJson.version,
): string {
  const systems: [string, Target][] = [
    ["x86_64-linux", "x86_64-unknown-linux-gnu"],
    ["aarch64-linux", "aarch64-unknown-linux-gnu"],
    ["x86_64-darwin", "x86_64-apple-darwin"],
    ["aarch64-darwin", "aarch64-apple-darwin"],
  ];
  const of = forTarget(archives);
  const sources = systems.map(([system, target]) =>
    of(target, ({ url, sum }) =>
      `        ${system} = {
          url = "${url}";
          sha256 = "${sum}";
        };
`)
  ).join("");
  return `{
  description = "${DESCRIPTION}";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      sources = {
${sources}      };
      package = system: source:
        let pkgs = nixpkgs.legacyPackages.\${system};
        in pkgs.stdenv.mkDerivation {
          pname = "wstap";
          version = "${version}";
          src = pkgs.fetchurl source;
          nativeBuildInputs =
            pkgs.lib.optional pkgs.stdenv.isLinux pkgs.autoPatchelfHook;
          buildInputs =
            pkgs.lib.optional pkgs.stdenv.isLinux pkgs.stdenv.cc.cc.lib;
          # strip could cut off the script, which is embedded in the executable.
          dontStrip = true;
          installPhase = ''
            install -D wstap $out/bin/wstap
            install -D -m 644 wstap.1 $out/share/man/man1/wstap.1
          '';
          meta = {
            description = "${DESCRIPTION}";
            homepage = "${HOMEPAGE}";
            license = pkgs.lib.licenses.mit;
            mainProgram = "wstap";
            platforms = builtins.attrNames sources;
          };
        };
    in {
      packages = builtins.mapAttrs
        (system: source: { default = package system source; })
        sources;
    };
}
`;
}

/** Returns a Dockerfile of an image that has the executable in a small base. It is built in the folder of the release. */
export function dockerfile(
  archives: readonly Archive[],
  version: string = denoJson.version,
): string {
  const of = forTarget(archives);
  const sums = [
    of("x86_64-unknown-linux-gnu", ({ sum, name }) => `${sum}  ${name}`),
    of("aarch64-unknown-linux-gnu", ({ sum, name }) => `${sum}  ${name}`),
  ].filter((line) => line !== "");
  return `# docker build --tag wstap .   (in the folder of the release)
FROM debian:12-slim AS unpack
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /work
COPY wstap-*-unknown-linux-gnu.tar.gz ./
RUN printf '%s\\n' \\
${
    sums.map((line) => `  "${line}" \\\n`).join("")
  }  | sha256sum --check --ignore-missing - \\
  && tar --extract --strip-components=1 --file "wstap-$(uname -m)-unknown-linux-gnu.tar.gz"

FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="wstap" \\
  org.opencontainers.image.description="${DESCRIPTION}" \\
  org.opencontainers.image.source="${HOMEPAGE}" \\
  org.opencontainers.image.version="${version}" \\
  org.opencontainers.image.licenses="MIT"
COPY --from=unpack /work/wstap /usr/local/bin/wstap
ENTRYPOINT ["/usr/local/bin/wstap"]
`;
}

/** Writes all of them into the folder of a release, and their sums into its `SHA256SUMS`. */
export async function writePackages(folder: URL): Promise<void> {
  const sums = await Deno.readTextFile(new URL("SHA256SUMS", folder));
  const archives = parseSums(sums);
  const files = {
    "wstap.rb": formula,
    "wstap.json": scoop,
    "flake.nix": flake,
    Dockerfile: dockerfile,
  };
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(new URL(name, folder), text(archives));
  }
  await writeSums(folder);
}

if (import.meta.main) {
  const [folder = new URL("../dist/release", import.meta.url).pathname] =
    Deno.args;
  await writePackages(new URL(`file://${await Deno.realPath(folder)}/`));
}
