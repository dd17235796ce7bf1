#!/bin/sh
# Installs wstap from a release, after checking its SHA-256 sum.
#
#   curl -fsSL https://github.com/wstap/wstap/releases/latest/download/install.sh | sh
#
# Variables:
#   WSTAP_VERSION   a version such as 0.1.0; the latest by default
#   WSTAP_DIR       where the executable goes; ~/.local/bin by default
#   WSTAP_RELEASES  where releases are downloaded from
set -eu

releases=${WSTAP_RELEASES:-https://github.com/wstap/wstap/releases}
dir=${WSTAP_DIR:-$HOME/.local/bin}
if [ -n "${WSTAP_VERSION:-}" ]; then
  from=$releases/download/v${WSTAP_VERSION#v}
else
  from=$releases/latest/download
fi

fail() {
  echo "wstap is not installed: $*" >&2
  exit 1
}

case $(uname -s) in
  Linux) system=unknown-linux-gnu ;;
  Darwin) system=apple-darwin ;;
  *) fail "there is no executable for $(uname -s); on Windows use install.ps1" ;;
esac
case $(uname -m) in
  x86_64 | amd64) machine=x86_64 ;;
  aarch64 | arm64) machine=aarch64 ;;
  *) fail "there is no executable for $(uname -m)" ;;
esac
if [ $system = unknown-linux-gnu ] && ldd --version 2>&1 | grep -qi musl; then
  fail "the executable needs glibc, and this system has musl"
fi
name=wstap-$machine-$system

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

download() { # download FILE
  if command -v curl >/dev/null; then
    curl -fsSL -o "$work/$1" "$from/$1"
  elif command -v wget >/dev/null; then
    wget -q -O "$work/$1" "$from/$1"
  else
    fail "it takes curl or wget to download it"
  fi || fail "cannot download $from/$1"
}

sum() { # sum FILE
  if command -v sha256sum >/dev/null; then
    sha256sum "$1"
  elif command -v shasum >/dev/null; then
    shasum -a 256 "$1"
  else
    fail "it takes sha256sum or shasum to check it"
  fi
}

download SHA256SUMS
download "$name.tar.gz"
expected=$(sed -n "s/^\([0-9a-f]\{64\}\)  $name\.tar\.gz\$/\1/p" "$work/SHA256SUMS")
actual=$(sum "$work/$name.tar.gz" | cut -d ' ' -f 1)
[ -n "$expected" ] || fail "SHA256SUMS does not list $name.tar.gz"
[ "$expected" = "$actual" ] || fail "the SHA-256 sum of $name.tar.gz is wrong"

tar -xzf "$work/$name.tar.gz" -C "$work"
mkdir -p "$dir"
# A new file in its place, so that one that is running stays whole.
cp "$work/$name/wstap" "$dir/.wstap.new"
chmod 755 "$dir/.wstap.new"
mv -f "$dir/.wstap.new" "$dir/wstap"
# `man` looks beside a folder of executables: ~/.local/share/man for ~/.local/bin.
if [ "$(basename "$dir")" = bin ]; then
  pages=$(dirname "$dir")/share/man/man1
  mkdir -p "$pages" && cp "$work/$name/wstap.1" "$pages/wstap.1"
fi
echo "Installed $("$dir/wstap" --version) as $dir/wstap"
case ":$PATH:" in
  *":$dir:"*) ;;
  *) echo "Add $dir to PATH to run it as wstap" ;;
esac
