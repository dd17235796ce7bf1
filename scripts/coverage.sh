#!/usr/bin/env bash
# Prints what the tests covered of each file of src, and fails if they covered too
# few of its lines: scripts/coverage.sh PERCENT FOLDER [DENO]
#
# FOLDER is what the tests wrote, with --coverage or DENO_COVERAGE_DIR.
set -uo pipefail
least=$1
folder=$2
deno=${3:-deno}

table=$("$deno" coverage "$folder" --include="^file://$(pwd -P)/src/") || exit 1
echo "$table"
# The last column counts lines.
awk -F '|' -v least="$least" '
  /All files/ { covered = $(NF - 1) }
  END {
    if (covered + 0 > least + 0) exit 0
    printf "The tests cover %s %% of the lines, not over %s %%.\n", covered, least
    exit 1
  }' <<<"$table"
