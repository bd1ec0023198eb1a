#!/usr/bin/env bash
# Static checks: format, vet, staticcheck, import table, generated code, docs.
set -euo pipefail
cd "$(dirname "$0")/../.."
step() { printf '== %s\n' "$1"; }

step format
bad=$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l)
[ -z "$bad" ] || { echo "not formatted: $bad"; exit 1; }

step vet
go vet ./...

step staticcheck
go tool staticcheck -checks 'all,-ST1000,-ST1003,-ST1005,-ST1016,-QF*' ./...

step "import table"
go test -count=1 -run 'TestImportTable' ./node/

step "generated code"
if ! command -v protoc >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get install -y --no-install-recommends protobuf-compiler libprotobuf-dev >/dev/null
  else
    echo "protoc is missing: apt-get install --no-install-recommends protobuf-compiler libprotobuf-dev"; exit 1
  fi
fi
gen=$(mktemp -d)
trap 'rm -rf "$gen"' EXIT
deploy/tools/generate.sh "$gen"
(cd "$gen" && find . -type f) | while read -r f; do
  cmp -s "$gen/$f" "$f" || { echo "$f differs from what make generate makes"; exit 1; }
done

step docs
fail=0
for d in fsm scheduler placement drivers rpc node; do
  [ -s "$d/DESIGN.md" ] || { echo "$d/DESIGN.md is missing"; fail=1; }
done
# Every relative link of a page leads somewhere.
while IFS= read -r page; do
  while IFS= read -r link; do
    case $link in http*|\#*|mailto:*) continue ;; esac
    [ -e "$(dirname "$page")/${link%%#*}" ] || { echo "$page: dead link $link"; fail=1; }
  done < <(grep -oE '\]\([^) ]+\)' "$page" | sed 's/^](//; s/)$//')
done < <(git ls-files -co --exclude-standard '*.md')
# Every make target that the README names exists.
while IFS= read -r t; do
  grep -qE "^$t:" Makefile || { echo "README.md names make $t, which isn't a target"; fail=1; }
done < <(grep -oE '`make [a-z-]+' README.md | sed 's/`make //' | sort -u)
# Every package says what it is.
undocumented=$(go list -f '{{if and (not .Doc) .GoFiles}}{{.ImportPath}}{{end}}' ./...)
[ -z "$undocumented" ] || { echo "no package doc: $undocumented"; fail=1; }
[ $fail = 0 ] || exit 1
echo "verify: all well"
