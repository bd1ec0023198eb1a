package rpc

import (
	"context"
	"net"
	"strconv"
	"strings"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"yagura/fsm/schema"
	"yagura/rpc/api"
)

// Metadata of a call on its way between managers (and from the gateway of the
// same process). It is read only from callers that have proven to be one.
const (
	keyFwdNode = "yagura-fwd-node" // manager that forwarded the call: it isn't forwarded again
	keyFwdUser = "yagura-fwd-user" // who calls, user or manager, when a certificate proved it; a token travels itself
	keyFwdVia  = "yagura-fwd-via"  // how that was proven
	keyFwdFrom = "yagura-fwd-from" // caller's address
)

// How the caller was made out: the values of Identity.via.
const (
	viaToken       = "token"
	viaCertificate = "certificate"
	viaManager     = "manager" // a manager's own call, there is no user
)

// call is what the server knows of one call. It travels in the context.
type call struct {
	name   string // full method name
	method api.Method

	// Who calls.
	manager string // id of the manager that calls, by its certificate
	user    string // empty while unknown
	via     string
	token   string // bearer token; it travels with the call, so that the leader can check it anew
	from    string // address of the caller
	edge    string // manager that took the call
	hops    int    // 1: it was forwarded by a manager

	// What is asked for.
	level    string
	minIndex uint64
	request  string
	reason   string

	role  string // of user, once permitted
	index uint64 // log index of the answer
}

type callKey struct{}

// callOf is the call that ctx belongs to. All methods run inside of one.
func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// newCall reads a call's metadata. It doesn't look at rows.
func (s *Server) newCall(ctx context.Context, name string, m api.Method) (*call, error) {
	c := &call{name: name, method: m, edge: s.node}
	md, _ := metadata.FromIncomingContext(ctx)
	trusted := s.origin(ctx, c)
	c.request, c.reason, c.level = first(md, api.KeyRequestID), first(md, api.KeyReason), first(md, api.KeyConsistency)
	bearer := first(md, api.KeyAuthorization)
	if trusted {
		c.readOrigin(md)
	}
	if bearer != "" {
		scheme, token, _ := strings.Cut(bearer, " ")
		if !strings.EqualFold(scheme, strings.TrimSpace(api.BearerPrefix)) || token == "" {
			return nil, schema.Errorf(schema.KindUnauthenticated, "authorization", "not a bearer token").WithHint("log in and send %q", api.BearerPrefix+"TOKEN")
		}
		c.token, c.user, c.via = token, "", "" // a token says more than a certificate that may be a machine's
	}
	return c, c.checkOptions(first(md, api.KeyMinIndex))
}

// origin takes what the connection proves, and tells whether its metadata may
// speak for others: it comes from a manager or from our own gateway.
func (s *Server) origin(ctx context.Context, c *call) bool {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return false
	}
	c.from = hostOf(p.Addr.String())
	switch info := p.AuthInfo.(type) {
	case gatewayInfo:
		return true
	case credentials.TLSInfo:
		if len(info.State.VerifiedChains) == 0 {
			return false
		}
		if id, ok := commonName(info.State.PeerCertificates, ManagerOrganization); ok {
			c.manager = id
			return true
		}
		if name, ok := commonName(info.State.PeerCertificates, UserOrganization); ok {
			c.user, c.via = name, viaCertificate
		}
	}
	return false
}

// readOrigin takes the caller from metadata that may be trusted.
func (c *call) readOrigin(md metadata.MD) {
	if node := first(md, keyFwdNode); node != "" && c.manager != "" {
		// A manager that passes on somebody's call doesn't lend its own rights to it.
		c.edge, c.hops, c.manager = node, 1, ""
	}
	if from := first(md, keyFwdFrom); from != "" {
		c.from = from
	}
	switch c.via = first(md, keyFwdVia); c.via {
	case viaManager:
		c.manager = first(md, keyFwdUser)
	case viaCertificate:
		c.user = first(md, keyFwdUser)
	}
}

// checkOptions holds the metadata against its limits.
func (c *call) checkOptions(minIndex string) error {
	switch c.level {
	case "":
		c.level = api.LeaderRead
	case api.Stale, api.LeaderRead, api.Linear:
	default:
		return schema.Errorf(schema.KindInvalid, api.KeyConsistency, "no read level %q", c.level).WithHint("use stale, leader or linear")
	}
	if minIndex != "" {
		i, err := strconv.ParseUint(minIndex, 10, 64)
		if err != nil {
			return schema.Errorf(schema.KindInvalid, api.KeyMinIndex, "not a log index: %q", minIndex)
		}
		c.minIndex = i
	}
	if len(c.request) > api.MaxRequestID {
		return schema.Errorf(schema.KindInvalid, api.KeyRequestID, "longer than %d bytes", api.MaxRequestID)
	}
	if len(c.reason) > api.MaxReason {
		return schema.Errorf(schema.KindInvalid, api.KeyReason, "longer than %d bytes", api.MaxReason)
	}
	return nil
}

// outgoing is the metadata of the call when it is forwarded.
func (c *call) outgoing(ctx context.Context, self string) context.Context {
	kv := make([]string, 0, 20)
	add := func(key, value string) {
		if value != "" {
			kv = append(kv, key, value)
		}
	}
	add(keyFwdNode, self)
	add(keyFwdFrom, c.from)
	switch {
	case c.token != "":
		add(api.KeyAuthorization, api.BearerPrefix+c.token)
	case c.user != "":
		add(keyFwdUser, c.user)
		add(keyFwdVia, c.via)
	case c.manager != "":
		add(keyFwdUser, c.manager)
		add(keyFwdVia, viaManager)
	}
	add(api.KeyConsistency, c.level)
	if c.minIndex != 0 {
		add(api.KeyMinIndex, strconv.FormatUint(c.minIndex, 10))
	}
	add(api.KeyRequestID, c.request)
	add(api.KeyReason, c.reason)
	return metadata.AppendToOutgoingContext(ctx, kv...)
}

func first(md metadata.MD, key string) string {
	if v := md[key]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// hostOf is an address without its port.
func hostOf(addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return addr
}

// op is the method's own name, such as Apply: the verb in the audit trail.
func (c *call) op() string { return c.name[strings.LastIndexByte(c.name, '/')+1:] }
