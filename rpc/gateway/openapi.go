// Package gateway holds the OpenAPI description of the JSON API, which
// deploy/tools/generate.sh makes from rpc/api/api.proto.
package gateway

import _ "embed"

// OpenAPI is the description, OpenAPI 2.0 in YAML.
//
//go:embed openapi.yaml
var OpenAPI []byte
