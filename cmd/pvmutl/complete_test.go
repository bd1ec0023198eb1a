package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestCompletionScripts(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		c := &console{}
		if code := c.run("completion", shell); code != 0 || !strings.Contains(c.stdout.String(), "pvmutl") {
			t.Errorf("%s: exit code %d", shell, code)
		}
	}
}

// TestCompletion holds what each kind of argument completes to.
func TestCompletion(t *testing.T) {
	f := newFake(t)
	f.loadCanned(t)
	for _, test := range []struct{ line, want string }{
		{"list server ", "infra shop shop-2 shop/old lab shop/web"},
		{"list server shop/", "shop/old shop/web"},
		{"list server web ", ""},
		{"poweron web ", "web01"},
		{"poweron web web01 w", "web01"},
		{"maintenance o", "on off"},
		{"maintenance on web ", "web01"},
		{"vmmigrate web web01 e", "esx01"},
		{"evacuate ", "esx01"},
		{"get Ma", "Machine"},
		{"get machine w", "web01"},
		{"unset models ", "web/web-vm"},
		{"get socks ", ""},
		{"policy set web s", "standard-vm"},
		{"collect ", "vc1"},
		{"job show ", "00012 00013"},
		{"job wait 00012 ", "00012 00013"},
		{"arm s", "shop shop-2 shop/old"},
		{"node transfer ", "node1 node2"},
		{"vmadd web ", ""},
		{"move web w", ""},
		{"move web shop/w", "shop/web"},
		{"move web web ", "web01"},
		{"replace web ", "web01"},
		{"add web ", "ph03"},
		{"addspecname web ", "web02"},
		{"addspecname web web02 ", "ph03"},
		{"delete web ", "web01"},
		{"deploysrv web ", "web01"},
		{"deploysrv web web01 --registered ", "tmpl-web"},
		{"deploygrp web --software t", "tmpl-web"},
		{"deploypsv ", "ph03 spare01 web01"},
		{"deploypsv ph03 ", "tmpl-web"},
		{"pool add web ", "ph03 spare01"},
		{"pool remove web ", "ph03"},
		{"vmdestroy ", "spare01"},
		{"get Load", "LoadBalancer"},
		{"get vlan ", "db-lan"},
	} {
		c := consoleFor(t, f)
		if code := c.run(append([]string{"__complete"}, strings.Split(test.line, " ")...)...); code != 0 {
			t.Errorf("%s: exit code %d: %s", test.line, code, c.stderr.String())
		}
		words, _, _ := strings.Cut(c.stdout.String(), ":")
		if got := strings.Join(strings.Fields(words), " "); got != test.want {
			t.Errorf("%s: %q, want %q", test.line, got, test.want)
		}
	}
}

// TestCompletionOffline holds that a shell gets no error text for words.
func TestCompletionOffline(t *testing.T) {
	c := &console{configDir: t.TempDir()}
	if code := c.run("__complete", "list", "server", ""); code != 0 || !strings.HasPrefix(c.stdout.String(), ":") {
		t.Errorf("exit code %d: %s", code, c.stdout.String())
	}
}

// TestCompletionsAreOfCommands holds that no entry is left of a command that went.
func TestCompletionsAreOfCommands(t *testing.T) {
	known := map[string]bool{}
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		known[commandName(cmd)] = true
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newRoot((&console{}).app()))
	for name := range completions {
		if !known[name] {
			t.Errorf("there is no command %q", name)
		}
	}
}
