package bigip

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"yagura/drivers"
)

// Objects of iControl REST, with the fields that the driver uses.
type (
	poolObject struct {
		FullPath string `json:"fullPath"`
	}
	memberObject struct {
		Name     string `json:"name"` // NODE:PORT; NODE.PORT when the node is named by an IPv6 address
		FullPath string `json:"fullPath"`
		Address  string `json:"address"` // with %N in another route domain
		Session  string `json:"session"` // user-enabled, user-disabled, monitor-enabled, ...
		State    string `json:"state"`   // up, down, user-down, unchecked, checking, ...
	}
	nodeObject struct {
		Address     string `json:"address"`
		Description string `json:"description"`
	}
	collection[T any] struct {
		Items []T `json:"items"`
	}
	// statistics is the answer of .../members/stats: an entry for each member,
	// under the URL of its own statistics.
	statistics struct {
		Entries map[string]struct {
			NestedStats struct {
				Entries map[string]struct {
					Value       int    `json:"value"`
					Description string `json:"description"`
				} `json:"entries"`
			} `json:"nestedStats"`
		} `json:"entries"`
	}
)

// ownNode is the description of node objects that the driver made.
const ownNode = "made by Yagura"

// member is a member of a pool, with the last part of its path.
type member struct {
	drivers.MemberState
	id string // ~PARTITION~NAME:PORT
}

// path is the URL path of an object of the partition; a name's folders are parts too.
func (s settings) path(collection, name string) string {
	return "/mgmt/tm/ltm/" + collection + "/" + s.id("/"+s.partition+"/"+name)
}

// id is a full path as URLs have it.
func (s settings) id(fullPath string) string { return strings.ReplaceAll(fullPath, "/", "~") }

// pools reads the names of the partition's pools.
func (d *Driver) pools(ctx context.Context) ([]string, error) {
	var all collection[poolObject]
	if err := d.do(ctx, http.MethodGet, "/mgmt/tm/ltm/pool", nil, &all); err != nil {
		return nil, err
	}
	names := []string{}
	for _, p := range all.Items {
		if name, ok := strings.CutPrefix(p.FullPath, "/"+d.partition+"/"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// members reads the members of a pool.
func (d *Driver) members(ctx context.Context, pool string) ([]member, error) {
	var objects collection[memberObject]
	if err := d.do(ctx, http.MethodGet, d.path("pool", pool)+"/members", nil, &objects); err != nil {
		return nil, err
	}
	var stats statistics
	if err := d.do(ctx, http.MethodGet, d.path("pool", pool)+"/members/stats", nil, &stats); err != nil {
		return nil, err
	}
	connections := map[string]int{}
	for _, e := range stats.Entries {
		v := e.NestedStats.Entries
		connections[v["nodeName"].Description+" "+strconv.Itoa(v["port"].Value)] = v["serverside.curConns"].Value
	}
	var all []member
	for _, o := range objects.Items {
		m, err := d.read(o)
		if err != nil {
			return nil, &unreadable{err}
		}
		m.Connections = connections[folderOf(o.FullPath)+m.Name+" "+strconv.Itoa(m.Port)]
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b member) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// folderOf is a full path without its last part.
func folderOf(fullPath string) string { return fullPath[:strings.LastIndex(fullPath, "/")+1] }

// read reads a member object.
func (d *Driver) read(o memberObject) (member, error) {
	cut := strings.LastIndex(o.Name, ":")
	if a, err := netip.ParseAddr(o.Name[:max(0, strings.LastIndex(o.Name, "."))]); err == nil && a.Is6() {
		cut = strings.LastIndex(o.Name, ".")
	}
	if cut < 1 || !strings.HasPrefix(o.FullPath, "/") {
		return member{}, fmt.Errorf("a member has the name %q", o.Name)
	}
	port, err := strconv.Atoi(o.Name[cut+1:])
	if err != nil {
		return member{}, fmt.Errorf("a member has the name %q, without a port", o.Name)
	}
	address, _, _ := strings.Cut(o.Address, "%")
	m := member{id: d.id(o.FullPath)}
	m.Member = drivers.Member{Name: o.Name[:cut], Address: address, Port: port}
	m.Up = o.State == "up" || o.State == "unchecked" || o.State == "user-up"
	switch {
	case o.State == "user-down":
		m.Mode = drivers.MemberOff
	case strings.HasSuffix(o.Session, "disabled"):
		m.Mode = drivers.MemberDraining
	default:
		m.Mode = drivers.MemberReady
	}
	return m, nil
}

// ensureNode makes the node object of a member, unless it is there.
func (d *Driver) ensureNode(ctx context.Context, m drivers.Member) error {
	var node nodeObject
	err := d.do(ctx, http.MethodGet, d.path("node", m.Name), nil, &node)
	switch {
	case err == nil:
		address, _, _ := strings.Cut(node.Address, "%")
		if !m.Same(drivers.Member{Address: address, Port: m.Port}) {
			return &fault{status: http.StatusConflict, Message: "a node of this name has the address " + node.Address}
		}
		return nil
	case !is(err, http.StatusNotFound):
		return err
	}
	err = d.do(ctx, http.MethodPost, "/mgmt/tm/ltm/node", map[string]string{
		"name": m.Name, "partition": d.partition, "address": m.Address, "description": ownNode,
	}, nil)
	if is(err, http.StatusConflict) {
		return nil // made by somebody else in between: the member's own request tells what it is
	}
	return err
}

// dropNode removes a node object of the driver's own that no pool uses any more.
func (d *Driver) dropNode(ctx context.Context, name string) error {
	var node nodeObject
	err := d.do(ctx, http.MethodGet, d.path("node", name), nil, &node)
	if err == nil && node.Description == ownNode {
		err = d.do(ctx, http.MethodDelete, d.path("node", name), nil, nil)
	}
	var f *fault
	if errors.As(err, &f) && (f.status == http.StatusNotFound || f.status == http.StatusBadRequest) {
		return nil // gone, or another pool uses it
	}
	return err
}
