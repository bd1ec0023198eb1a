// Package storagecli connects volumes of disk arrays by running the command-line
// tools of their vendors. What to run and how to read what comes back is data:
// families.yaml has NEC iStorage (LDs in LD sets), EMC Symmetrix (device
// masking) and EMC CLARiX (storage groups), the arrays of the manual (1.9), and
// the family custom takes its commands from the subsystem's options.
//
// No shell is involved: a command is split into words first and its
// placeholders are replaced afterwards, so a name is always one word, and names
// that a command line could misread are refused (drivers.CheckName). Credentials
// are handed over in the environment (STORAGE_USER, STORAGE_PASSWORD), never
// as words. Commands run one after the other, each with a limit on time and output.
//
// Whether a change took place is always read back; the tools' exit codes and
// words go into errors only.
package storagecli
