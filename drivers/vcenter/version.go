package vcenter

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/soap"
)

// maxVersions bounds the list of versions that a server offers.
const maxVersions = 1 << 20

// agreeOnVersion makes the client speak the older of its own and the server's
// version of the API: an older server refuses requests of a version that it
// doesn't know. The list is served without a login (vSphere Web Services SDK
// programming guide, "Identifying the API versions supported by the server").
func agreeOnVersion(ctx context.Context, sc *soap.Client) error {
	u := sc.URL()
	u.Path = path.Join(u.Path, "vimServiceVersions.xml")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	res, err := sc.Client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is no vSphere API: HTTP status %d for its list of versions", sc.URL(), res.StatusCode)
	}
	var list struct {
		Namespaces []struct {
			Name    string `xml:"name"`
			Version string `xml:"version"`
		} `xml:"namespace"`
	}
	if err := xml.NewDecoder(io.LimitReader(res.Body, maxVersions)).Decode(&list); err != nil {
		return fmt.Errorf("%s is no vSphere API: its list of versions can't be read: %w", sc.URL(), err)
	}
	for _, n := range list.Namespaces {
		if n.Name == "urn:"+vim25.Namespace {
			sc.Namespace = n.Name
			sc.Version = older(n.Version, vim25.Version)
			return nil
		}
	}
	return fmt.Errorf("%s offers no version of %s", sc.URL(), vim25.Namespace)
}

// older returns the older of two versions such as 8.0.2.0. A version that
// isn't made of numbers counts as older: the server knows best what it speaks.
func older(server, own string) string {
	s, o := strings.Split(server, "."), strings.Split(own, ".")
	for i := range min(len(s), len(o)) {
		a, err := strconv.Atoi(s[i])
		b, _ := strconv.Atoi(o[i])
		if err != nil || a < b {
			return server
		}
		if a > b {
			return own
		}
	}
	if len(s) <= len(o) {
		return server
	}
	return own
}
