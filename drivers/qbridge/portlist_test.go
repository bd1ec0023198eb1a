package qbridge

import (
	"bytes"
	"strings"
	"testing"
)

func TestPortList(t *testing.T) {
	for _, c := range []struct {
		is   portList
		port int
		in   bool
		size int
		want portList
	}{
		{nil, 1, true, 0, portList{0x80}},
		{nil, 8, true, 0, portList{0x01}},
		{nil, 9, true, 0, portList{0, 0x80}},
		{nil, 17, true, 4, portList{0, 0, 0x80, 0}},
		{portList{0xff, 0xff}, 10, false, 2, portList{0xff, 0xbf}},
		{portList{0xff}, 1, false, 4, portList{0x7f, 0, 0, 0}},
		{portList{0x80, 0, 0, 0, 0}, 2, true, 2, portList{0xc0, 0, 0, 0, 0}},
		{portList{0x80}, 30, false, 0, portList{0x80, 0, 0, 0}},
	} {
		was := bytes.Clone(c.is)
		got := c.is.with(c.port, c.in, c.size)
		if !bytes.Equal(got, c.want) || got.has(c.port) != c.in {
			t.Errorf("%x with %d %v: %x, want %x", c.is, c.port, c.in, got, c.want)
		}
		if !bytes.Equal(c.is, was) {
			t.Errorf("%x was changed to %x", was, c.is)
		}
	}
	if (portList{0xff}).has(9) || (portList{}).has(1) {
		t.Error("a port beyond the end is in the list")
	}
}

func TestSettings(t *testing.T) {
	opts := func(kv ...string) map[string]string { return map[string]string{kv[0]: kv[1]} }
	for words, c := range map[string]Config{
		"write HOST or HOST:PORT":           {Password: "p"},
		`address "sw1:0"`:                   {Address: "sw1:0", Password: "p"},
		`address "http://sw1/"`:             {Address: "http://sw1/", Password: "p"},
		"password is missing":               {Address: "sw1"},
		"shorter than 8":                    {Address: "sw1", User: "u", Password: "short"},
		`no option "vlan"`:                  {Address: "sw1", Password: "p", Options: opts("vlan", "1")},
		`unused_vlan "4095"`:                {Address: "sw1", Password: "p", Options: opts("unused_vlan", "4095")},
		"auth is of SNMPv3":                 {Address: "sw1", Password: "p", Options: opts("auth", "sha")},
		"md5, sha, sha224":                  {Address: "sw1", User: "u", Password: "password", Options: opts("auth", "crc")},
		"aes, aes192, aes256, des and none": {Address: "sw1", User: "u", Password: "password", Options: opts("priv", "rot13")},
	} {
		words = strings.ReplaceAll(words, " and ", ", ")
		if _, err := Open(c); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%+v: %v, want %q", c, err, words)
		}
	}
	d, err := Open(Config{Address: "[::1]:1161", Password: "p"})
	if err != nil || d.host != "::1" || d.port != 1161 || d.unused != 1 {
		t.Errorf("%+v, %v", d, err)
	}
}
