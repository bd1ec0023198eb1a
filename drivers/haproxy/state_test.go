package haproxy

import "testing"

const (
	header = "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_port\n"
	stats  = "# pxname,svname,qcur,scur,\ndb,db01,0,7,\n\n"
)

func TestAnswersThatAreNoAnswers(t *testing.T) {
	good := "1\n" + header + "3 db 1 db01 192.0.2.1 2 8 80\n\n" + stats + "# name\ndb\n\n"
	servers, there, err := parsePool("db", []byte(good))
	if err != nil || !there || len(servers) != 1 || servers[0].Mode != "draining" || servers[0].Connections != 7 {
		t.Fatalf("%v, %v, %v", servers, there, err)
	}
	for name, bad := range map[string]string{
		"empty":          "",
		"another server": "HTTP/1.1 400 Bad Request\r\n\r\n",
		"no rights":      "Permission denied\n\n",
		"cut off":        good[:len(good)-1],
		"no list":        "1\n" + header + "\n" + stats,
		"no columns":     "1\n# be_id\n\n" + stats + "# name\ndb\n\n",
		"short line":     "1\n" + header + "3 db 1 db01\n\n" + stats + "# name\ndb\n\n",
		"no number":      "1\n" + header + "3 db 1 db01 192.0.2.1 2 x 80\n\n" + stats + "# name\ndb\n\n",
		"no statistics":  "1\n" + header + "3 db 1 db01 192.0.2.1 2 8 80\n\nPermission denied\n\n# name\ndb\n\n",
		"no sessions":    "1\n" + header + "3 db 1 db01 192.0.2.1 2 8 80\n\n# pxname,svname,scur,\ndb,db01,x,\n\n# name\ndb\n\n",
	} {
		if got, there, err := parsePool("db", []byte(bad)); err == nil {
			t.Errorf("%s: read as %v, %v", name, got, there)
		}
	}
	if _, there, err := parsePool("db", []byte("Can't find backend.\n\nNo such proxy.\n\n# name\nweb\n\n")); there || err != nil {
		t.Errorf("a backend that isn't there: %v, %v", there, err)
	}
}
