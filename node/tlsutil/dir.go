package tlsutil

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"yagura/fsm/seal"
)

// Names of the files that InitDir makes.
const (
	CAFile         = "ca.pem"
	CAKeyFile      = "ca.key"
	ClusterKeyFile = "cluster.key"
	GossipKeyFile  = "gossip.key"
)

// InitDir makes a cluster's authority, cluster key and gossip key in dir. It
// never overwrites: with the authority's key gone no manager could be added,
// with the cluster key gone no stored credential could be read.
func InitDir(dir, name string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, f := range []string{CAFile, CAKeyFile, ClusterKeyFile, GossipKeyFile} {
		if _, err := os.Stat(filepath.Join(dir, f)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already; nothing was changed", filepath.Join(dir, f))
		}
	}
	ca, err := NewCA(name, CALifetime)
	if err != nil {
		return err
	}
	key, err := ca.KeyPEM()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		data []byte
		mode fs.FileMode
	}{
		{CAFile, ca.CertPEM(), 0o644},
		{CAKeyFile, key, 0o600},
		{ClusterKeyFile, hexLine(seal.NewKey()), 0o600},
		{GossipKeyFile, hexLine(seal.NewKey()), 0o600},
	} {
		if err := writeNew(filepath.Join(dir, f.name), f.data, f.mode); err != nil {
			return err
		}
	}
	return nil
}

// IssueInto issues a certificate by the authority in dir, and writes
// NAME.pem and NAME.key there. It never overwrites.
func IssueInto(dir string, req Request) (Files, error) {
	ca, err := LoadCA(filepath.Join(dir, CAFile), filepath.Join(dir, CAKeyFile))
	if err != nil {
		return Files{}, err
	}
	cert, key, err := ca.Issue(req)
	if err != nil {
		return Files{}, err
	}
	out := Files{CA: filepath.Join(dir, CAFile), Cert: filepath.Join(dir, req.Name+".pem"), Key: filepath.Join(dir, req.Name+".key")}
	if err := writeNew(out.Key, key, 0o600); err != nil {
		return Files{}, err
	}
	return out, writeNew(out.Cert, cert, 0o644)
}

func hexLine(b []byte) []byte { return []byte(hex.EncodeToString(b) + "\n") }

func writeNew(path string, data []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
