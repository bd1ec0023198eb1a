package main

import (
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// peer runs a program and returns what it prints, and its CPU time.
func peer(name string, args ...string) (string, time.Duration, error) {
	cmd := exec.Command(name, args...)
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return "", 0, fmt.Errorf("%s is not installed (Debian: apt-get install --no-install-recommends ganeti-htools), or run with -peers=false", name)
	}
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w: %.300s", name, err, out)
	}
	return string(out), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// number finds the first number behind a pattern with one group.
func number(text, pattern string) (float64, error) {
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("no %q in %.300q", pattern, text)
	}
	return strconv.ParseFloat(m[1], 64)
}

// count is how often a pattern comes.
func count(text, pattern string) int {
	return len(regexp.MustCompile(pattern).FindAllString(text, -1))
}

// times says how many times faster one is than the other.
func times(peer, ours time.Duration) string {
	return fmt.Sprintf("%.0f times faster", peer.Seconds()/max(ours, time.Microsecond).Seconds())
}
