#!/usr/bin/env bash
# Generates the protobuf, gRPC, gateway and OpenAPI code of the whole tree into
# the folder given (default: the tree itself). Needs protoc (apt:
# protobuf-compiler libprotobuf-dev); the plugins are tools of go.mod.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-.}
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
for t in google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc \
  github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv2; do
  go build -o "$bin/" "$t"
done
# google/api/annotations.proto comes with the first generation of the gateway's module.
googleapis=$(go mod download -json github.com/grpc-ecosystem/grpc-gateway@v1.16.0 | sed -n 's/^\t"Dir": "\(.*\)",\?$/\1/p')/third_party/googleapis
export PATH="$bin:$PATH"
mkdir -p "$out/rpc/gateway"
protoc -I . --go_out="$out" --go_opt=module=yagura fsm/schema/*.proto
protoc -I . -I "$googleapis" \
  --go_out="$out" --go_opt=module=yagura \
  --go-grpc_out="$out" --go-grpc_opt=module=yagura \
  --grpc-gateway_out="$out" --grpc-gateway_opt=module=yagura \
  --openapiv2_out="$out/rpc/gateway" --openapiv2_opt=allow_merge=true,merge_file_name=openapi,output_format=yaml,json_names_for_fields=false,proto3_optional_nullable=true,disable_default_errors=true \
  rpc/api/*.proto
# The plugin knows neither title nor version, and names the file after its own format.
sed -e 's|^  title: .*|  title: Yagura|' -e 's|^  version: version not set|  version: v1|' "$out/rpc/gateway/openapi.swagger.yaml" >"$out/rpc/gateway/openapi.yaml"
rm "$out/rpc/gateway/openapi.swagger.yaml"
