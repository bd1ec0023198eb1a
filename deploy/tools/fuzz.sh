#!/usr/bin/env bash
# Runs each fuzz target of the tree, one after the other, for a time (default
# 20s each). An input that fails is kept under the package's testdata/fuzz, and
# fails in `make test` from then on.
set -euo pipefail
cd "$(dirname "$0")/../.."
each=${1:-20s}
ran=0
while IFS=: read -r file target; do
  printf '== %s %s\n' "$(dirname "$file")" "$target"
  go test -run '^$' -fuzz "^$target\$" -fuzztime "$each" -fuzzminimizetime 2s "./$(dirname "$file")" </dev/null
  ran=$((ran + 1))
done < <(git ls-files -co --exclude-standard '*_test.go' | xargs grep -oHE '^func Fuzz[A-Za-z0-9]+' | sed 's/:func /:/')
[ $ran -gt 0 ] || { echo "fuzz: there is no target"; exit 1; }
echo "fuzz: $ran targets, $each each, 0 failed"
