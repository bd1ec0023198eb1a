package testbed

import (
	"os"
	"strings"
)

// Env are the variables by which pvmutl finds the bed's managers.
func (b *Bed) Env() []string {
	var servers []string
	for _, n := range b.Nodes {
		servers = append(servers, n.API())
	}
	return []string{
		"PVMUTL_SERVERS=" + strings.Join(servers, ","),
		"PVMUTL_CA=" + b.Path("ca.pem"),
		"PVMUTL_CERT=" + b.Path(AdminUser+".pem"),
		"PVMUTL_KEY=" + b.Path(AdminUser+".key"),
	}
}

// WriteEnv writes the variables to the file env, for a shell to source.
func (b *Bed) WriteEnv() error {
	var text strings.Builder
	for _, v := range b.Env() {
		name, value, _ := strings.Cut(v, "=")
		text.WriteString("export " + name + "='" + strings.ReplaceAll(value, "'", `'\''`) + "'\n")
	}
	return os.WriteFile(b.Path("env"), []byte(text.String()), 0o644)
}
