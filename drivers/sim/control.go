package sim

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// control is the endpoint that `pvmd sim ctl` talks to: JSON over HTTP on
// loopback, with a token that only who can read the state directory knows.
type control struct {
	srv   *server
	token string
}

// ctlRequest is the body of every control call; each call uses some fields.
type ctlRequest struct {
	Name    string        `json:"name,omitempty"`
	BMCToo  bool          `json:"bmc_too,omitempty"`
	Op      string        `json:"op,omitempty"`
	Delay   time.Duration `json:"delay,omitempty"`
	Times   int           `json:"times,omitempty"`
	Percent int           `json:"percent,omitempty"`
	Alarm   string        `json:"alarm,omitempty"`
	From    string        `json:"from,omitempty"`
	To      string        `json:"to,omitempty"`

	// of an array's tool
	Volume    string `json:"volume,omitempty"`
	Initiator string `json:"initiator,omitempty"`
	Token     string `json:"token,omitempty"`
}

// ctlReply is the answer to every control call but status.
type ctlReply struct {
	Message string `json:"message,omitempty"`
	Error   string `json:"error,omitempty"`
	Usage   bool   `json:"usage,omitempty"` // the request was wrong
}

func startControl(s *Sim) (*control, error) {
	token, err := randomSecret()
	if err != nil {
		return nil, err
	}
	c := &control{token: token}
	mux := http.NewServeMux()
	post := func(path string, do func(ctx context.Context, q ctlRequest) (string, error)) {
		mux.HandleFunc("POST /v1/"+path, func(w http.ResponseWriter, r *http.Request) {
			var q ctlRequest
			dec := json.NewDecoder(r.Body)
			dec.DisallowUnknownFields()
			if err := dec.Decode(&q); err != nil {
				reply(w, http.StatusBadRequest, ctlReply{Error: "the request is not a JSON object of known fields", Usage: true})
				return
			}
			msg, err := do(r.Context(), q)
			var usage *UsageError
			switch {
			case errors.As(err, &usage):
				reply(w, http.StatusBadRequest, ctlReply{Error: err.Error(), Usage: true})
			case err != nil:
				reply(w, http.StatusInternalServerError, ctlReply{Error: err.Error()})
			default:
				reply(w, http.StatusOK, ctlReply{Message: msg})
			}
		})
	}
	post("host-down", func(_ context.Context, q ctlRequest) (string, error) { return s.HostDown(q.Name, q.BMCToo) })
	post("host-up", func(ctx context.Context, q ctlRequest) (string, error) { return s.HostUp(ctx, q.Name) })
	post("delay", func(_ context.Context, q ctlRequest) (string, error) { return s.Delay(q.Op, q.Delay) })
	post("fail", func(_ context.Context, q ctlRequest) (string, error) { return s.Fail(q.Op, q.Times) })
	post("load", func(_ context.Context, q ctlRequest) (string, error) { return s.Load(q.Name, q.Percent) })
	post("alarm", func(_ context.Context, q ctlRequest) (string, error) { return s.Alarm(q.Name, q.Alarm, q.From, q.To) })
	post("clear", func(ctx context.Context, _ ctlRequest) (string, error) { return s.Clear(ctx) })
	post("array-list", func(_ context.Context, q ctlRequest) (string, error) { return s.ArrayList(q.Name) })
	post("array-connect", func(_ context.Context, q ctlRequest) (string, error) {
		return s.ArrayConnect(q.Name, q.Volume, q.Initiator, q.Token)
	})
	post("array-disconnect", func(_ context.Context, q ctlRequest) (string, error) {
		return s.ArrayDisconnect(q.Name, q.Volume, q.Initiator, q.Token)
	})
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, s.Status()) })
	c.srv, err = serve(s.cfg.ControlAddr, nil, c.authenticated(mux))
	if err != nil {
		return nil, fmt.Errorf("control endpoint: %w", err)
	}
	return c, nil
}

func (c *control) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(given), []byte(c.token)) != 1 {
			reply(w, http.StatusUnauthorized, ctlReply{Error: "the token is wrong"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (c *control) url() string  { return c.srv.base }
func (c *control) close() error { return c.srv.close() }

// Client talks to the control endpoint of a running simulator.
type Client struct {
	base, token string
	http        *http.Client
}

// ReadEndpoints reads where the simulator of a state directory is.
func ReadEndpoints(stateDir string) (Endpoints, error) {
	var e Endpoints
	data, err := os.ReadFile(filepath.Join(stateDir, endpointsFile))
	if errors.Is(err, os.ErrNotExist) {
		return e, fmt.Errorf("no simulator has been started with the state directory %s (start it with `pvmd sim` or `make demo`)", stateDir)
	}
	if err != nil {
		return e, fmt.Errorf("find the simulator: %w", err)
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return e, fmt.Errorf("find the simulator: %s: %w", filepath.Join(stateDir, endpointsFile), err)
	}
	return e, nil
}

// Dial finds the simulator of a state directory. It doesn't connect.
func Dial(stateDir string) (*Client, error) {
	e, err := ReadEndpoints(stateDir)
	if err != nil {
		return nil, err
	}
	token, err := os.ReadFile(filepath.Join(stateDir, tokenFile))
	if err != nil {
		return nil, fmt.Errorf("find the simulator: %w", err)
	}
	return &Client{base: e.Control, token: strings.TrimSpace(string(token)), http: &http.Client{Timeout: time.Minute}}, nil
}

// HostDown is Sim.HostDown over the wire, and so are the methods below.
func (c *Client) HostDown(ctx context.Context, name string, bmcToo bool) (string, error) {
	return c.post(ctx, "host-down", ctlRequest{Name: name, BMCToo: bmcToo})
}

// HostUp repairs a machine.
func (c *Client) HostUp(ctx context.Context, name string) (string, error) {
	return c.post(ctx, "host-up", ctlRequest{Name: name})
}

// Delay makes every task of op take that long.
func (c *Client) Delay(ctx context.Context, op string, d time.Duration) (string, error) {
	return c.post(ctx, "delay", ctlRequest{Op: op, Delay: d})
}

// Fail makes the next calls of op fail.
func (c *Client) Fail(ctx context.Context, op string, times int) (string, error) {
	return c.post(ctx, "fail", ctlRequest{Op: op, Times: times})
}

// ArrayList is Sim.ArrayList over the wire.
func (c *Client) ArrayList(ctx context.Context, array string) (string, error) {
	return c.post(ctx, "array-list", ctlRequest{Name: array})
}

// ArrayConnect connects a volume to an initiator, ArrayDisconnect disconnects it.
func (c *Client) ArrayConnect(ctx context.Context, array, volume, initiator, token string) (string, error) {
	return c.post(ctx, "array-connect", ctlRequest{Name: array, Volume: volume, Initiator: initiator, Token: token})
}

// ArrayDisconnect disconnects a volume from an initiator.
func (c *Client) ArrayDisconnect(ctx context.Context, array, volume, initiator, token string) (string, error) {
	return c.post(ctx, "array-disconnect", ctlRequest{Name: array, Volume: volume, Initiator: initiator, Token: token})
}

// Load sets the load of a VM server or VM, in percent.
func (c *Client) Load(ctx context.Context, name string, percent int) (string, error) {
	return c.post(ctx, "load", ctlRequest{Name: name, Percent: percent})
}

// Alarm lets an alarm of a VM server or VM change its colour.
func (c *Client) Alarm(ctx context.Context, name, alarm, from, to string) (string, error) {
	return c.post(ctx, "alarm", ctlRequest{Name: name, Alarm: alarm, From: from, To: to})
}

// Clear ends all faults.
func (c *Client) Clear(ctx context.Context) (string, error) {
	return c.post(ctx, "clear", ctlRequest{})
}

// Status tells how everything is.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var st Status
	data, err := c.do(ctx, http.MethodGet, "status", nil)
	if err == nil {
		err = json.Unmarshal(data, &st)
	}
	return st, err
}

func (c *Client) post(ctx context.Context, path string, q ctlRequest) (string, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return "", err
	}
	data, err := c.do(ctx, http.MethodPost, path, body)
	if err != nil {
		return "", err
	}
	var r ctlReply
	if err := json.Unmarshal(data, &r); err != nil {
		return "", fmt.Errorf("the simulator's answer: %w", err)
	}
	return r.Message, nil
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	res, err := c.http.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			return nil, fmt.Errorf("no simulator answers at %s; is it running? (%w)", c.base, op.Err)
		}
		return nil, fmt.Errorf("ask the simulator: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return nil, fmt.Errorf("the simulator's answer: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		var r ctlReply
		if json.Unmarshal(data, &r) != nil || r.Error == "" {
			return nil, fmt.Errorf("the simulator answered %s", res.Status)
		}
		if r.Usage {
			return nil, &UsageError{Msg: r.Error}
		}
		return nil, errors.New(r.Error)
	}
	return data, nil
}
