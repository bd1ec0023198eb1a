package api

import (
	"net/http"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
)

// TestMethodsAreListed holds the list against the services of api.proto.
func TestMethodsAreListed(t *testing.T) {
	found := 0
	services := File_rpc_api_api_proto.Services()
	for i := range services.Len() {
		s := services.Get(i)
		for k := range s.Methods().Len() {
			d := s.Methods().Get(k)
			name := "/" + string(s.FullName()) + "/" + string(d.Name())
			m, ok := LookupMethod(name)
			if !ok {
				t.Errorf("%s isn't listed", name)
				continue
			}
			found++
			if m.Class < Read || m.Class > Local {
				t.Errorf("%s has the class %d", name, m.Class)
			}
			switch m.Role {
			case Public, Managers, schema.RoleAdministrator, schema.RoleOperator, schema.RoleObserver:
			default:
				t.Errorf("%s has the role %q", name, m.Role)
			}
			if (s.Name() == "Peer") != (m.Role == Managers) {
				t.Errorf("%s is for %q", name, m.Role)
			}
			rule, _ := proto.GetExtension(d.Options(), annotations.E_Http).(*annotations.HttpRule)
			if get := rule.GetGet() != ""; rule != nil && get != (m.Class == Read || m.Class == Local) {
				t.Errorf("%s: a %s is for what changes nothing, and only for that", name, http.MethodGet)
			}
		}
	}
	if found != len(methods) {
		t.Errorf("%d methods are listed, %d exist", len(methods), found)
	}
	if m, _ := LookupMethod(Auth_Login_FullMethodName); m.Role != Public {
		t.Error("nobody can log in")
	}
}
