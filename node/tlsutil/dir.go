package tlsutil

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"yagura/fsm/seal"
)

// Names of the files of a cluster in one directory.
const (
	CAFile         = "ca.pem"
	CAKeyFile      = "ca.key"
	ClusterKeyFile = "cluster.key" // credentials of other systems are sealed with it
	GossipKeyFile  = "gossip.key"
)

// InitDir makes a new cluster's authority and keys in dir. It refuses when one
// of them is there already.
func InitDir(dir, name string) error {
	for _, f := range []string{CAFile, CAKeyFile, ClusterKeyFile, GossipKeyFile} {
		if _, err := os.Lstat(filepath.Join(dir, f)); err == nil {
			return fmt.Errorf("%s is there already: a cluster keeps its authority and keys for ever; nothing was changed", filepath.Join(dir, f))
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
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return errors.Join(
		writeNew(filepath.Join(dir, CAFile), ca.CertPEM(), 0o644),
		writeNew(filepath.Join(dir, CAKeyFile), key, 0o600),
		writeNew(filepath.Join(dir, ClusterKeyFile), []byte(hex.EncodeToString(seal.NewKey())+"\n"), 0o600),
		writeNew(filepath.Join(dir, GossipKeyFile), []byte(hex.EncodeToString(seal.NewKey())+"\n"), 0o600),
	)
}

// IssueInto issues a certificate by the authority in dir and writes it there
// as NAME.pem and NAME.key. It refuses to overwrite.
func IssueInto(dir string, req Request) (Files, error) {
	files := Files{CA: filepath.Join(dir, CAFile), Cert: filepath.Join(dir, req.Name+".pem"), Key: filepath.Join(dir, req.Name+".key")}
	for _, f := range []string{files.Cert, files.Key} {
		if _, err := os.Lstat(f); err == nil {
			return files, fmt.Errorf("%s is there already: remove it to issue a new one; nothing was changed", f)
		}
	}
	ca, err := LoadCA(files.CA, filepath.Join(dir, CAKeyFile))
	if err != nil {
		return files, err
	}
	cert, key, err := ca.Issue(req)
	if err != nil {
		return files, err
	}
	return files, errors.Join(writeNew(files.Key, key, 0o600), writeNew(files.Cert, cert, 0o644))
}

func writeNew(name string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
