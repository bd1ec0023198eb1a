package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/apierr"
	"yagura/rpc/gateway"
)

// bodyTime bounds the time in which a request's body has to arrive, and
// replyTime that in which a reply has to be taken; on a stream it is
// streamTime for each element.
const (
	bodyTime  = time.Minute
	replyTime = maxDeadline + time.Minute
)

// gatewayServer serves JSON over HTTPS. It calls the same methods, through the same
// interceptors, over a connection in memory.
type gatewayServer struct {
	s    *Server
	conn *grpc.ClientConn
	api  *runtime.ServeMux
	mux  http.Handler
}

func newGateway(s *Server) (*gatewayServer, error) {
	l := bufconn.Listen(256 << 10)
	s.tasks.Go(func() {
		if err := s.local.Serve(l); err != nil {
			s.log.Error("the JSON gateway's connection ended", "err", err)
		}
	})
	conn, err := grpc.NewClient("passthrough:///gateway",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
		grpc.WithTransportCredentials(gatewayCredentials{}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(api.MaxReply), grpc.MaxCallSendMsgSize(api.MaxRequest)),
		grpc.WithDisableServiceConfig(), grpc.WithDisableRetry())
	if err != nil {
		return nil, err
	}
	strictQueries()
	g := &gatewayServer{s: s, conn: conn}
	g.api = runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &body{runtime.JSONPb{
			MarshalOptions: protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true},
		}}),
		runtime.WithIncomingHeaderMatcher(incomingHeader),
		runtime.WithOutgoingHeaderMatcher(outgoingHeader),
		runtime.WithOutgoingTrailerMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithMetadata(origin),
		runtime.WithDisablePathLengthFallback(), // else POST of a form would be answered as GET, whatever is in it
		runtime.WithErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
			if e := ownError(err); e != nil {
				e.Object = r.Method + " " + r.URL.Path
				err = e
			}
			writeError(w, err)
		}),
		runtime.WithRoutingErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, r *http.Request, code int) {
			writeProblem(w, code, schema.Errorf(schema.KindInvalid, r.Method+" "+r.URL.Path, "%s", strings.ToLower(http.StatusText(code))).WithHint("GET /openapi.yaml lists the methods"))
		}),
	)
	for _, register := range []func(context.Context, *runtime.ServeMux, *grpc.ClientConn) error{
		api.RegisterAuthHandler, api.RegisterInventoryHandler, api.RegisterOperationsHandler,
		api.RegisterPlacementHandler,
		api.RegisterJobsHandler, api.RegisterEventsHandler, api.RegisterClusterHandler,
	} {
		// The context given ends the connection, which close does here.
		if err := register(context.Background(), g.api, conn); err != nil {
			conn.Close()
			return nil, err
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/", g.serveAPI)
	mux.HandleFunc("GET /openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		w.Write(gateway.OpenAPI)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.cfg.Metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "alive\n") })
	mux.HandleFunc("GET /readyz", g.serveReady)
	g.mux = http.NewCrossOriginProtection().Handler(mux)
	return g, nil
}

func (g *gatewayServer) close() { g.conn.Close() }

// ServeHTTP implements http.Handler.
func (g *gatewayServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Strict-Transport-Security", "max-age=31536000")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	g.mux.ServeHTTP(w, r)
}

// serveReady answers load balancers and scripts: 200 when this manager is
// caught up and knows a leader.
func (g *gatewayServer) serveReady(w http.ResponseWriter, _ *http.Request) {
	if ok, why := g.s.cfg.Cluster.Ready(); !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
		io.WriteString(w, why+"\n")
		return
	}
	io.WriteString(w, "ready\n")
}

// serveAPI takes in the body within its limits before anything else is done.
func (g *gatewayServer) serveAPI(w http.ResponseWriter, r *http.Request) {
	ctl := http.NewResponseController(w)
	// Connections that can't set deadlines are those of tests alone.
	_ = ctl.SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, api.MaxRequest))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			writeError(w, schema.Errorf(schema.KindTooLarge, r.URL.Path, "the body is larger than %d bytes", large.Limit))
		} else {
			writeError(w, schema.Errorf(schema.KindInvalid, r.URL.Path, "the body didn't arrive whole"))
		}
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	_ = ctl.SetReadDeadline(time.Time{}) // it would end a stream
	if streams(r.URL.Path) {
		w = &streamWriter{ResponseWriter: w, ctl: ctl, time: streamTime}
	} else {
		_ = ctl.SetWriteDeadline(time.Now().Add(replyTime))
	}
	g.api.ServeHTTP(w, r)
}

// streams tells whether the path is that of a method with a stream of replies.
func streams(path string) bool {
	return path == "/v1/snapshot" || path == "/v1/changes" || strings.HasPrefix(path, "/v1/watch/") || strings.HasSuffix(path, "/watch")
}

// incomingHeader lets through the headers of the API. Authorization passes by itself.
func incomingHeader(key string) (string, bool) {
	switch key = strings.ToLower(key); key {
	case api.KeyConsistency, api.KeyMinIndex, api.KeyRequestID, api.KeyReason:
		return key, true
	}
	return "", false
}

func outgoingHeader(key string) (string, bool) {
	switch key {
	case api.KeyIndex, api.KeyAge, api.KeyNode:
		return key, true
	}
	return "", false
}

// origin tells the gRPC side who calls: the address, and the user of a certificate.
func origin(_ context.Context, r *http.Request) metadata.MD {
	md := metadata.Pairs(keyFwdFrom, hostOf(r.RemoteAddr))
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		if name, ok := commonName(r.TLS.PeerCertificates, UserOrganization); ok {
			md.Set(keyFwdUser, name)
			md.Set(keyFwdVia, viaCertificate)
		}
	}
	return md
}

// ownError is an error that the gateway itself made of a request, before any
// method saw it; nil for that of a method.
func ownError(err error) *schema.Error {
	st, ok := status.FromError(err)
	if !ok || st.Code() != codes.InvalidArgument || len(st.Details()) > 0 {
		return nil
	}
	return schema.Errorf(schema.KindInvalid, "", "%s", st.Message()).WithHint("GET /openapi.yaml says what the method takes")
}

// body converts the bodies of requests and replies.
type body struct{ runtime.JSONPb }

// NewDecoder implements runtime.Marshaler. Its errors are in plain words.
func (b *body) NewDecoder(r io.Reader) runtime.Decoder {
	d := b.JSONPb.NewDecoder(r)
	return runtime.DecoderFunc(func(v any) error {
		err := d.Decode(v)
		switch {
		case err == nil, errors.Is(err, io.EOF): // an empty body is an empty request
			return err
		case errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("the body ends in the middle of its JSON")
		}
		return errors.New("the body: " + strings.TrimLeft(strings.TrimPrefix(err.Error(), "proto:"), " \u00a0"))
	})
}

// Marshal implements runtime.Marshaler. The error that ends a stream has the
// form that all errors have.
func (b *body) Marshal(v any) ([]byte, error) {
	if chunk, ok := v.(map[string]proto.Message); ok {
		if st, ok := chunk["error"].(*spb.Status); ok {
			e := apierr.FromStatus(status.FromProto(st))
			return json.Marshal(map[string]problem{"error": problemOf(e)})
		}
	}
	return b.JSONPb.Marshal(v)
}

// problem is the body of an error.
type problem struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Object  string `json:"object,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// writeError answers with an error of the API, or of the gateway itself.
func writeError(w http.ResponseWriter, err error) {
	var routed *runtime.HTTPStatusError
	if errors.As(err, &routed) {
		err = routed.Err
	}
	var e *schema.Error
	if !errors.As(err, &e) {
		e = apierr.FromStatus(status.Convert(err))
	}
	writeProblem(w, apierr.Lookup(e.Kind).HTTP, e)
}

func writeProblem(w http.ResponseWriter, code int, e *schema.Error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	// A caller that is gone takes no error either.
	_ = json.NewEncoder(w).Encode(problemOf(e))
}

func problemOf(e *schema.Error) problem {
	return problem{Kind: string(e.Kind), Message: e.Msg, Object: e.Object, Hint: e.Hint}
}
