package sim

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"
)

func TestRedfishSessions(t *testing.T) {
	e := start(t, quick())
	c := e.http()
	call := func(method, path, token string, body any) (*http.Response, map[string]any) {
		t.Helper()
		data, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(e.ctx, method, e.sim.BMCURL("ph02")+path, bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			req.Header.Set("X-Auth-Token", token)
		}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		out := map[string]any{}
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &out); err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
		}
		return res, out
	}
	want := func(res *http.Response, code int) {
		t.Helper()
		if res.StatusCode != code {
			t.Errorf("%s %s: %d, want %d", res.Request.Method, res.Request.URL.Path, res.StatusCode, code)
		}
	}
	user, password := e.sim.BMCCredentials()
	res, body := call("POST", rfSessions, "", map[string]string{"UserName": user, "Password": "wrong"})
	want(res, 401)
	if body["error"] == nil {
		t.Errorf("no error body: %v", body)
	}
	res, _ = call("POST", rfSessions, "", []int{1})
	want(res, 400)
	res, body = call("POST", rfSessions, "", map[string]string{"UserName": user, "Password": password})
	want(res, 201)
	token, place := res.Header.Get("X-Auth-Token"), res.Header.Get("Location")
	if token == "" || place == "" || body["@odata.id"] != place {
		t.Fatalf("session %q at %q: %v", token, place, body)
	}
	res, body = call("GET", "/redfish/v1/SessionService", token, nil)
	want(res, 200)
	if body["SessionTimeout"] != sessionTimeout.Seconds() {
		t.Errorf("session service: %v", body)
	}
	res, body = call("GET", rfSessions, token, nil)
	want(res, 200)
	if body["Members@odata.count"] != 1.0 {
		t.Errorf("sessions: %v", body)
	}
	res, body = call("GET", place, token, nil)
	want(res, 200)
	if body["UserName"] != user {
		t.Errorf("session: %v", body)
	}
	res, body = call("GET", rfSystem+"/ResetActionInfo", token, nil)
	want(res, 200)
	if body["Parameters"] == nil {
		t.Errorf("action info: %v", body)
	}
	res, _ = call("POST", rfReset, token, map[string]string{"ResetKind": "On"})
	want(res, 400)
	res, _ = call("GET", rfSessions+"/99", token, nil)
	want(res, 404)
	res, _ = call("DELETE", place, token, nil)
	want(res, 204)
	res, _ = call("GET", rfSystem, token, nil)
	want(res, 401)
}

func TestSessionsExpire(t *testing.T) {
	table := newSessionTable()
	s, err := table.add("admin")
	if err != nil {
		t.Fatal(err)
	}
	s.used = time.Now().Add(-2 * sessionTimeout)
	if table.valid(s.token) || table.remove(s.id) {
		t.Error("an old session is still there")
	}
}
