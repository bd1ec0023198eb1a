package rpc

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strconv"
	"sync"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc/credentials"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"yagura/fsm/schema"
)

// gatewayInfo marks a connection as that of this process's own gateway. No
// connection from outside can carry it: only the server in memory has
// gatewayCredentials.
type gatewayInfo struct{ credentials.CommonAuthInfo }

// AuthType implements credentials.AuthInfo.
func (gatewayInfo) AuthType() string { return "gateway" }

// gatewayCredentials are the credentials of a connection in memory.
type gatewayCredentials struct{}

var inMemory = gatewayInfo{credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}}

// ClientHandshake implements credentials.TransportCredentials.
func (gatewayCredentials) ClientHandshake(_ context.Context, _ string, c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c, inMemory, nil
}

// ServerHandshake implements credentials.TransportCredentials.
func (gatewayCredentials) ServerHandshake(c net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return c, inMemory, nil
}

// Info implements credentials.TransportCredentials.
func (gatewayCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "in-memory"}
}

// Clone implements credentials.TransportCredentials.
func (c gatewayCredentials) Clone() credentials.TransportCredentials { return c }

// OverrideServerName implements credentials.TransportCredentials.
func (gatewayCredentials) OverrideServerName(string) error { return nil }

// strictQueries has query parameters read by strictQuery. grpc-gateway keeps its
// parser in a variable of the process, which all gateways read while they
// serve; so it is set once, before the first of them does.
var strictQueries = sync.OnceFunc(func() {
	runtime.NewServeMux(runtime.SetQueryParameterParser(strictQuery{}))
})

// strictQuery reads query parameters into a request and, other than the
// gateway's own parser, refuses unknown ones: a misspelt filter would select
// everything.
type strictQuery struct{ runtime.DefaultQueryParser }

// Parse implements runtime.QueryParameterParser.
func (p strictQuery) Parse(m proto.Message, values url.Values, filter *utilities.DoubleArray) error {
	fields := m.ProtoReflect().Descriptor().Fields()
	for name := range values {
		if fields.ByName(protoreflect.Name(name)) == nil && fields.ByJSONName(name) == nil {
			return schema.Errorf(schema.KindInvalid, "parameter "+name, "there is no such parameter").WithHint("GET /openapi.yaml lists them")
		}
	}
	err := p.DefaultQueryParser.Parse(m, values, filter)
	var bad *strconv.NumError
	if !errors.As(err, &bad) {
		return err
	}
	want := "a whole number within its range"
	if bad.Func == "ParseBool" {
		want = "true or false"
	}
	return schema.Errorf(schema.KindInvalid, "parameter", "%q must be %s", bad.Num, want)
}
