package rpc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"yagura/fsm/schema"
	"yagura/rpc"
	"yagura/rpc/api"
)

// web is an HTTPS client of the manager with this index, as user by certificate.
type web struct {
	t    testing.TB
	http *http.Client
	base string
}

func (c *cluster) web(i int, user string) *web {
	tr := &http.Transport{TLSClientConfig: c.ca.client(c.t, rpc.UserOrganization, user), ForceAttemptHTTP2: true}
	c.t.Cleanup(tr.CloseIdleConnections)
	return &web{t: c.t, http: &http.Client{Transport: tr}, base: "https://" + c.nodes[i].http.Addr().String()}
}

// do sends a request and gives status, headers and body.
func (w *web) do(method, path, body string, headers ...string) (int, http.Header, string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.base+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := w.http.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// wantProblem checks the body of an error.
func wantProblem(t *testing.T, code int, body string, wantCode int, kind schema.Kind) {
	t.Helper()
	var p struct{ Kind, Message, Object, Hint string }
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	if code != wantCode || p.Kind != string(kind) || p.Message == "" {
		t.Fatalf("got %d %+v, want %d %s", code, p, wantCode, kind)
	}
}

func TestGatewayServesTheSameMethods(t *testing.T) {
	c := start(t, 2)
	w := c.web(1, "")
	code, _, body := w.do("POST", "/v1/login", `{"user":"admin","password":"`+adminPassword+`"}`)
	var login struct{ Token, Expires, Role string }
	if err := json.Unmarshal([]byte(body), &login); err != nil || code != 200 || login.Token == "" || login.Role != schema.RoleAdministrator {
		t.Fatalf("got %d %s", code, body)
	}
	bearer := []string{"Authorization", "Bearer " + login.Token}
	code, _, body = w.do("GET", "/v1/whoami", "", bearer...)
	if code != 200 || !strings.Contains(body, `"via":"token"`) {
		t.Fatalf("got %d %s", code, body)
	}
	code, h, body := w.do("POST", "/v1/arm", `{"disarm":true}`, append(bearer, "Yagura-Reason", "test", "Yagura-Request-Id", "x1")...)
	if code != 200 || h.Get("Yagura-Node") != "m1" || h.Get("Yagura-Index") == "" || h.Get("Yagura-Age-Ms") == "" {
		t.Fatalf("got %d %v %s", code, h, body)
	}
	code, h, body = w.do("GET", "/v1/audit?limit=1", "", append(bearer, "Yagura-Consistency", "stale")...)
	if code != 200 || h.Get("Yagura-Node") != "m2" || !strings.Contains(body, `"reason":"test"`) || !strings.Contains(body, `"from":"127.0.0.1"`) {
		t.Fatalf("got %d %v %s", code, h, body)
	}
	code, _, body = c.web(1, operator).do("GET", "/v1/whoami", "")
	if code != 200 || !strings.Contains(body, `"role":"operator"`) || !strings.Contains(body, `"via":"certificate"`) {
		t.Fatalf("got %d %s", code, body)
	}
}

func TestGatewayErrors(t *testing.T) {
	c := start(t, 1)
	w := c.web(0, admin)
	for _, test := range []struct {
		method, path, body string
		code               int
		kind               schema.Kind
	}{
		{"GET", "/v1/jobs/77", "", 404, schema.KindNotFound},
		{"GET", "/v1/jobs/x", "", 400, schema.KindInvalid},
		{"GET", "/v1/nothing", "", 404, schema.KindInvalid},
		{"DELETE", "/v1/jobs", "", 405, schema.KindInvalid},
		{"GET", "/v1/jobs?stat=running", "", 400, schema.KindInvalid},
		{"GET", "/v1/jobs?limit=-1", "", 400, schema.KindInvalid},
		{"GET", "/v1/jobs?limit=many", "", 400, schema.KindInvalid},
		{"GET", "/v1/jobs?all=perhaps", "", 400, schema.KindInvalid},
		{"POST", "/v1/arm", `{"disarm":true,"categry":"shop"}`, 400, schema.KindInvalid},
		{"POST", "/v1/arm", `{"disarm":`, 400, schema.KindInvalid},
		{"POST", "/v1/arm", `{"disarm":"maybe"}`, 400, schema.KindInvalid},
		{"POST", "/v1/arm", `[]`, 400, schema.KindInvalid},
		{"POST", "/v1/arm", `{"disarm":true}`, 400, schema.KindInvalid}, // no reason
		{"POST", "/v1/login", `{"user":"admin","password":"wrong password"}`, 401, schema.KindLogin},
		{"POST", "/v1/apply", strings.Repeat(" ", api.MaxRequest+1), 413, schema.KindTooLarge},
	} {
		code, h, body := w.do(test.method, test.path, test.body)
		wantProblem(t, code, body, test.code, test.kind)
		if strings.Contains(body, "proto:") || strings.Contains(body, "strconv") || strings.Contains(body, "rpc error") {
			t.Errorf("%s %s: a library's text comes through: %s", test.method, test.path, body)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: headers %v", test.method, test.path, h)
		}
	}
	code, _, body := c.web(0, "").do("GET", "/v1/jobs", "")
	wantProblem(t, code, body, 401, schema.KindUnauthenticated)
	code, _, body = c.web(0, "").do("GET", "/v1/users", "", "Yagura-Fwd-User", admin, "Grpc-Metadata-Yagura-Fwd-User", admin)
	wantProblem(t, code, body, 401, schema.KindUnauthenticated)
	// curl -d sends a form unless it is told otherwise: no reason to answer a POST as a GET.
	code, _, body = w.do("POST", "/v1/users", `{"name":"bob","role":"operator"}`, "Content-Type", "application/x-www-form-urlencoded")
	wantProblem(t, code, body, 405, schema.KindInvalid)
	code, _, _ = w.do("POST", "/v1/arm", `{}`, "Origin", "https://elsewhere.example", "Sec-Fetch-Site", "cross-site")
	if code != 403 {
		t.Errorf("a request of another site's page got %d", code)
	}
}

func TestGatewayErrorOfAStream(t *testing.T) {
	c := start(t, 1)
	code, _, text := c.web(0, "").do("GET", "/v1/jobs/1/watch", "")
	var chunk struct{ Error json.RawMessage }
	if err := json.Unmarshal([]byte(text), &chunk); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	wantProblem(t, code, string(chunk.Error), 401, schema.KindUnauthenticated)
}

func TestGatewayStreams(t *testing.T) {
	c := start(t, 2)
	c.job(schema.JobRunning, 1)
	w := c.web(1, observer)
	req, err := http.NewRequestWithContext(t.Context(), "GET", w.base+"/v1/jobs/1/watch", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := w.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	d := json.NewDecoder(resp.Body)
	for _, want := range []string{schema.JobRunning, schema.JobSucceeded} {
		var line struct {
			Result struct{ Job struct{ State string } }
		}
		if err := d.Decode(&line); err != nil || line.Result.Job.State != want {
			t.Fatalf("got %+v, %v, want %s", line, err, want)
		}
		c.job(schema.JobSucceeded, 100)
	}
	if err := d.Decode(new(any)); err != io.EOF {
		t.Fatalf("the stream didn't end with the job: %v", err)
	}
}

func TestGatewayWellKnownPages(t *testing.T) {
	c := start(t, 1)
	w := c.web(0, "")
	if code, _, body := w.do("GET", "/livez", ""); code != 200 || body != "alive\n" {
		t.Errorf("livez: %d %q", code, body)
	}
	if code, _, body := w.do("GET", "/readyz", ""); code != 200 || body != "ready\n" {
		t.Errorf("readyz: %d %q", code, body)
	}
	c.nodes[0].control.mu.Lock()
	c.nodes[0].control.ready = false
	c.nodes[0].control.mu.Unlock()
	if code, _, body := w.do("GET", "/readyz", ""); code != 503 || body != "no leader is known\n" {
		t.Errorf("readyz: %d %q", code, body)
	}
	if code, _, body := w.do("GET", "/openapi.yaml", ""); code != 200 || !strings.Contains(body, "title: Yagura") || !strings.Contains(body, "/v1/vmadd:") {
		t.Errorf("openapi: %d", code)
	}
	w.do("GET", "/v1/jobs", "")
	code, _, body := w.do("GET", "/metrics", "")
	for _, want := range []string{"yagura_leader 1", `yagura_api_calls_total{kind="unauthenticated",method="Jobs/ListJobs"} 1`, "yagura_state_index"} {
		if code != 200 || !strings.Contains(body, want) {
			t.Errorf("metrics: %d, no %q", code, want)
		}
	}
	if code, _, _ := w.do("GET", "/", ""); code != 404 {
		t.Errorf("/: %d", code)
	}
}

func TestGatewaySnapshot(t *testing.T) {
	c := start(t, 1)
	code, _, body := c.web(0, admin).do("GET", "/v1/snapshot", "")
	if code != 200 {
		t.Fatalf("got %d %s", code, body)
	}
	var got bytes.Buffer
	for d := json.NewDecoder(strings.NewReader(body)); d.More(); {
		var line struct{ Result struct{ Data []byte } }
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		got.Write(line.Result.Data)
	}
	if !bytes.Equal(got.Bytes(), snapshotText) {
		t.Fatalf("got %d bytes, want %d", got.Len(), len(snapshotText))
	}
}

func TestShutdownEndsStreamsAndKeepsCallsInFlight(t *testing.T) {
	c := start(t, 2)
	c.job(schema.JobRunning, 1)
	s, err := api.NewJobsClient(c.raw(1, c.ca.client(t, rpc.UserOrganization, observer))).WatchJob(t.Context(), &api.JobRequest{Id: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Recv(); err != nil {
		t.Fatal(err)
	}
	c.nodes[1].server.Shutdown(context.Background()) // would wait for ever for a stream that goes on
	if _, err := s.Recv(); err == nil {
		t.Fatal("the stream goes on")
	}
}
