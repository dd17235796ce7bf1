#!/usr/bin/env bash
# Writes the files for package managers into the folder of a release, and lets the
# linter of each look at them, where it is installed. The image is built and tried
# where Docker is: scripts/try_packages.sh [FOLDER]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-$here/../dist/release}
failed=0

try() { # try WHAT PROGRAM ARGUMENTS...
  local what=$1 output
  shift
  if ! command -v "$1" >/dev/null; then
    echo "skipped $what: $1 is not installed"
  elif output=$("$@" 2>&1); then
    echo "ok $what"
  else
    printf 'FAILED %s\n%s\n' "$what" "$output"
    failed=1
  fi
}

deno run -A "$here/packages.ts" "$folder"
cd "$folder"
try "the formula for Homebrew" ruby -c wstap.rb
try "the manifest for Scoop" jq --exit-status \
  '.version and .bin and (.architecture | type == "object")' wstap.json
try "the flake for Nix" nix-instantiate --parse flake.nix
try "the Dockerfile" hadolint Dockerfile
if docker info >/dev/null 2>&1; then
  try "the image" docker build --quiet --tag wstap .
  try "wstap in the image" docker run --rm wstap --version
else
  echo "skipped the image: Docker does not run"
fi
exit $failed
