package bigip

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	user     = "yagura"
	password = "s3cret"
)

// device is a BIG-IP as its public documentation describes it (iControl REST
// User Guide 14.1; objects of tmsh ltm pool, ltm node): the paths that the
// driver uses, with the shapes, status codes and refusals of the real one.
type device struct {
	srv *httptest.Server

	mu       sync.Mutex // guards what follows
	nodes    map[string]*fakeNode
	pools    map[string][]*fakeMember // by full path
	tokens   map[string]bool
	logins   int
	effects  []string                                      // OP POOL/NODE
	requests []string                                      // METHOD PATH
	answer   func(http.ResponseWriter, *http.Request) bool // answers instead, when it returns true
}

type fakeNode struct{ address, description string }

type fakeMember struct {
	node           string
	port           int
	session, state string
	connections    int
}

func newDevice(t *testing.T) *device {
	t.Helper()
	t.Log("real part: none can be had; a server made from F5's iControl REST documentation")
	b := &device{
		nodes:  map[string]*fakeNode{"/Common/db09": {address: "192.0.2.9"}},
		pools:  map[string][]*fakeMember{"/Common/db": {{node: "/Common/db09", port: 5432, session: "monitor-enabled", state: "up"}}, "/Common/web": nil, "/Other/db": nil},
		tokens: map[string]bool{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+loginPath, b.login)
	mux.HandleFunc("DELETE "+tokensPath+"{token}", b.logout)
	mux.HandleFunc("GET /mgmt/tm/ltm/pool", b.listPools)
	mux.HandleFunc("GET /mgmt/tm/ltm/pool/{pool}/members", b.withPool(b.listMembers))
	mux.HandleFunc("GET /mgmt/tm/ltm/pool/{pool}/members/stats", b.withPool(b.stats))
	mux.HandleFunc("POST /mgmt/tm/ltm/pool/{pool}/members", b.withPool(b.addMember))
	mux.HandleFunc("PATCH /mgmt/tm/ltm/pool/{pool}/members/{member}", b.withPool(b.patchMember))
	mux.HandleFunc("DELETE /mgmt/tm/ltm/pool/{pool}/members/{member}", b.withPool(b.deleteMember))
	mux.HandleFunc("POST /mgmt/tm/ltm/node", b.addNode)
	mux.HandleFunc("GET /mgmt/tm/ltm/node/{node}", b.getNode)
	mux.HandleFunc("DELETE /mgmt/tm/ltm/node/{node}", b.deleteNode)
	b.srv = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.requests = append(b.requests, r.Method+" "+r.URL.Path)
		if b.answer != nil && b.answer(w, r) {
			return
		}
		if r.URL.Path != loginPath && !b.admitted(r) {
			refuse(w, 401, "Authorization failed: no user authentication header or token detected.")
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(b.srv.Close)
	return b
}

func (b *device) admitted(r *http.Request) bool {
	u, p, ok := r.BasicAuth()
	return ok && u == user && p == password || b.tokens[r.Header.Get("X-F5-Auth-Token")]
}

type obj map[string]any

func reply(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	json.NewEncoder(w).Encode(body)
}

// refuse answers with iControl REST's error object.
func refuse(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(obj{"code": code, "message": message, "errorStack": []string{}, "apiError": 3})
}

func decode(w http.ResponseWriter, r *http.Request) (map[string]string, bool) {
	var q map[string]string
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		refuse(w, 400, "Found invalid JSON body in the request.")
		return nil, false
	}
	return q, true
}

func (b *device) login(w http.ResponseWriter, r *http.Request) {
	q, ok := decode(w, r)
	if !ok {
		return
	}
	if q["username"] != user || q["password"] != password || q["loginProviderName"] != "tmos" {
		refuse(w, 401, "Authentication failed.")
		return
	}
	b.logins++
	token := fmt.Sprintf("TOKEN%d", b.logins)
	b.tokens[token] = true
	reply(w, obj{"username": user, "loginProviderName": "tmos", "token": obj{
		"token": token, "name": token, "userName": user, "timeout": 1200, "kind": "shared:authz:tokens:authtokenitemstate",
	}})
}

func (b *device) logout(w http.ResponseWriter, r *http.Request) {
	delete(b.tokens, r.PathValue("token"))
	reply(w, obj{})
}

func full(id string) string { return strings.ReplaceAll(id, "~", "/") }

func link(path string) string { return "https://localhost" + path + "?ver=14.1.0" }

func (b *device) listPools(w http.ResponseWriter, _ *http.Request) {
	items := []obj{}
	for p := range b.pools {
		parts := strings.Split(p, "/")
		items = append(items, obj{
			"kind": "tm:ltm:pool:poolstate", "name": parts[2], "partition": parts[1], "fullPath": p, "loadBalancingMode": "round-robin",
			"selfLink":         link("/mgmt/tm/ltm/pool/" + strings.ReplaceAll(p, "/", "~")),
			"membersReference": obj{"link": link("/mgmt/tm/ltm/pool/" + strings.ReplaceAll(p, "/", "~") + "/members"), "isSubcollection": true},
		})
	}
	reply(w, obj{"kind": "tm:ltm:pool:poolcollectionstate", "selfLink": link("/mgmt/tm/ltm/pool"), "items": items})
}

func (b *device) withPool(h func(http.ResponseWriter, *http.Request, string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		pool := full(r.PathValue("pool"))
		if _, ok := b.pools[pool]; !ok {
			refuse(w, 404, "01020036:3: The requested Pool ("+pool+") was not found.")
			return
		}
		h(w, r, pool)
	}
}

// fullPath is NODE:PORT, with a dot where the node is named by an IPv6 address.
func (m *fakeMember) fullPath() string {
	sep := ":"
	if a, err := netip.ParseAddr(m.node[strings.LastIndex(m.node, "/")+1:]); err == nil && a.Is6() {
		sep = "."
	}
	return m.node + sep + fmt.Sprint(m.port)
}

func (b *device) member(pool, id string) *fakeMember {
	if i := slices.IndexFunc(b.pools[pool], func(m *fakeMember) bool { return m.fullPath() == full(id) }); i >= 0 {
		return b.pools[pool][i]
	}
	return nil
}

func (b *device) show(m *fakeMember) obj {
	parts := strings.Split(m.fullPath(), "/")
	return obj{
		"kind": "tm:ltm:pool:members:membersstate", "name": parts[2], "partition": parts[1], "fullPath": m.fullPath(), "generation": 12,
		"address": b.nodes[m.node].address, "connectionLimit": 0, "ephemeral": "false", "monitor": "default", "priorityGroup": 0,
		"rateLimit": "disabled", "ratio": 1, "session": m.session, "state": m.state,
	}
}

func (b *device) listMembers(w http.ResponseWriter, _ *http.Request, pool string) {
	items := []obj{}
	for _, m := range b.pools[pool] {
		items = append(items, b.show(m))
	}
	answer := obj{"kind": "tm:ltm:pool:members:memberscollectionstate", "selfLink": link("/mgmt/tm/ltm/pool/x/members")}
	if len(items) > 0 { // an empty collection has no items
		answer["items"] = items
	}
	reply(w, answer)
}

func (b *device) stats(w http.ResponseWriter, r *http.Request, pool string) {
	entries := obj{}
	for _, m := range b.pools[pool] {
		self := "https://localhost" + strings.TrimSuffix(r.URL.Path, "/stats") + "/" + strings.ReplaceAll(m.fullPath(), "/", "~") + "/stats"
		entries[self] = obj{"nestedStats": obj{"kind": "tm:ltm:pool:members:membersstats", "selfLink": self + "?ver=14.1.0", "entries": obj{
			"addr": obj{"description": b.nodes[m.node].address}, "nodeName": obj{"description": m.node}, "poolName": obj{"description": pool},
			"port": obj{"value": m.port}, "serverside.curConns": obj{"value": m.connections}, "serverside.maxConns": obj{"value": 9},
			"status.availabilityState": obj{"description": "available"}, "status.enabledState": obj{"description": "enabled"},
		}}}
	}
	reply(w, obj{"kind": "tm:ltm:pool:members:memberscollectionstats", "selfLink": link(r.URL.Path), "entries": entries})
}

func (b *device) addMember(w http.ResponseWriter, r *http.Request, pool string) {
	q, ok := decode(w, r)
	if !ok {
		return
	}
	cut := strings.LastIndexAny(q["name"], ":.")
	node := "/" + q["partition"] + "/" + q["name"][:max(0, cut)]
	m := &fakeMember{node: node, session: "monitor-enabled", state: "up"}
	if _, err := fmt.Sscan(q["name"][cut+1:], &m.port); err != nil || b.nodes[node] == nil {
		refuse(w, 400, "01070734:3: Configuration error: Node address is required for "+q["name"])
		return
	}
	if b.member(pool, m.fullPath()) != nil {
		refuse(w, 409, "01020066:3: The requested Pool Member ("+pool+" "+m.fullPath()+") already exists in partition Common.")
		return
	}
	b.pools[pool] = append(b.pools[pool], m)
	b.note("lb-add", pool, m)
	reply(w, b.show(m))
}

func (b *device) note(op, pool string, m *fakeMember) {
	b.effects = append(b.effects, op+" "+strings.TrimPrefix(pool, "/Common/")+"/"+strings.TrimPrefix(m.node, "/Common/"))
}

func (b *device) patchMember(w http.ResponseWriter, r *http.Request, pool string) {
	m := b.member(pool, r.PathValue("member"))
	if m == nil {
		refuse(w, 404, "01020036:3: The requested Pool Member was not found.")
		return
	}
	q, ok := decode(w, r)
	if !ok {
		return
	}
	switch q["session"] {
	case "user-disabled":
		m.session = "user-disabled"
		b.note("lb-drain", pool, m)
	case "user-enabled":
		m.session = "monitor-enabled" // as a monitored member shows it
		b.note("lb-add", pool, m)
	default:
		refuse(w, 400, "invalid property value \"session\"")
		return
	}
	if q["state"] == "user-up" {
		m.state = "up"
	} else if q["state"] == "user-down" {
		m.state = "user-down"
	}
	reply(w, b.show(m))
}

func (b *device) deleteMember(w http.ResponseWriter, r *http.Request, pool string) {
	m := b.member(pool, r.PathValue("member"))
	if m == nil {
		refuse(w, 404, "01020036:3: The requested Pool Member was not found.")
		return
	}
	b.pools[pool] = slices.DeleteFunc(b.pools[pool], func(x *fakeMember) bool { return x == m })
	b.note("lb-remove", pool, m)
	w.WriteHeader(200) // with an empty body
}

func (b *device) addNode(w http.ResponseWriter, r *http.Request) {
	q, ok := decode(w, r)
	if !ok {
		return
	}
	path := "/" + q["partition"] + "/" + q["name"]
	if b.nodes[path] != nil {
		refuse(w, 409, "01020066:3: The requested Node ("+path+") already exists in partition Common.")
		return
	}
	for other, n := range b.nodes {
		if n.address == q["address"] {
			refuse(w, 400, "01070088:3: The requested Node ("+path+") has the address of "+other)
			return
		}
	}
	b.nodes[path] = &fakeNode{q["address"], q["description"]}
	reply(w, obj{"kind": "tm:ltm:node:nodestate", "name": q["name"], "address": q["address"]})
}

func (b *device) getNode(w http.ResponseWriter, r *http.Request) {
	n := b.nodes[full(r.PathValue("node"))]
	if n == nil {
		refuse(w, 404, "01020036:3: The requested Node was not found.")
		return
	}
	answer := obj{"kind": "tm:ltm:node:nodestate", "address": n.address, "session": "user-enabled", "state": "unchecked"}
	if n.description != "" {
		answer["description"] = n.description
	}
	reply(w, answer)
}

func (b *device) deleteNode(w http.ResponseWriter, r *http.Request) {
	path := full(r.PathValue("node"))
	for pool, members := range b.pools {
		if slices.ContainsFunc(members, func(m *fakeMember) bool { return m.node == path }) {
			refuse(w, 400, "01070110:3: Node address '"+path+"' is referenced by a member of pool '"+pool+"'.")
			return
		}
	}
	delete(b.nodes, path)
	w.WriteHeader(200)
}
