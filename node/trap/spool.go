package trap

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	"yagura/fsm/schema"
)

// Spool format: files NUMBER.spool of records, each a length and a CRC-32C
// (four bytes each, big endian) and a notification in the shape of raw, with its
// sequence number. A record that was cut by a crash ends its file.
const (
	segmentBytes = 1 << 20
	recordHead   = 8
	maxRecord    = 1 << 20
	suffix       = ".spool"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// spool keeps events on disk until they are recorded by the leader. What is
// written is durable after sync.
type spool struct {
	dir string

	mu    sync.Mutex // guards all below
	file  *os.File
	w     *bufio.Writer
	size  int64     // of file
	segs  []segment // the last one is being written
	dirty bool
}

type segment struct {
	number uint64
	last   uint64 // highest sequence in it, 0: empty
}

// openSpool opens the spool and gives what was left in it, in order.
func openSpool(dir string) (*spool, []*schema.Event, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		return nil, nil, err
	}
	s := &spool{dir: dir}
	var left []*schema.Event
	for _, name := range names {
		number, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(name), suffix), 10, 64)
		if err != nil {
			continue
		}
		events, err := readSegment(name)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		seg := segment{number: number}
		for _, e := range events {
			seg.last = max(seg.last, e.Sequence)
		}
		s.segs = append(s.segs, seg)
		left = append(left, events...)
	}
	slices.SortFunc(s.segs, func(a, b segment) int { return int(int64(a.number) - int64(b.number)) })
	slices.SortFunc(left, func(a, b *schema.Event) int { return int(int64(a.Sequence) - int64(b.Sequence)) })
	return s, left, s.rotate()
}

// readSegment reads the records of a file up to its end or the first one that
// a crash cut.
func readSegment(name string) ([]*schema.Event, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	var events []*schema.Event
	for {
		var head [recordHead]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return events, nil
			}
			return events, err
		}
		n := binary.BigEndian.Uint32(head[:])
		if n > maxRecord {
			return events, nil
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return events, nil
			}
			return events, err
		}
		e := new(schema.Event)
		if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(head[4:]) || proto.Unmarshal(body, e) != nil || e.Sequence == 0 {
			return events, nil
		}
		events = append(events, e)
	}
}

func (s *spool) name(number uint64) string {
	return filepath.Join(s.dir, fmt.Sprintf("%020d%s", number, suffix))
}

// rotate begins a new file.
func (s *spool) rotate() error {
	number := uint64(1)
	if n := len(s.segs); n > 0 {
		number = s.segs[n-1].number + 1
	}
	if err := s.closeFile(); err != nil {
		return err
	}
	f, err := os.OpenFile(s.name(number), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	s.file, s.w, s.size = f, bufio.NewWriter(f), 0
	s.segs = append(s.segs, segment{number: number})
	return nil
}

func (s *spool) closeFile() error {
	if s.file == nil {
		return nil
	}
	err := s.w.Flush()
	if s.dirty && err == nil {
		err = s.file.Sync()
	}
	s.dirty = false
	err = errors.Join(err, s.file.Close())
	s.file = nil
	return err
}

// append writes an event; sync makes it durable.
func (s *spool) append(e *schema.Event) error {
	body, err := proto.Marshal(e)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.size > segmentBytes || s.file == nil {
		if err := s.rotate(); err != nil {
			return err
		}
	}
	var head [recordHead]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(body)))
	binary.BigEndian.PutUint32(head[4:], crc32.Checksum(body, castagnoli))
	if _, err := s.w.Write(head[:]); err != nil {
		return err
	}
	if _, err := s.w.Write(body); err != nil {
		return err
	}
	s.size += int64(recordHead + len(body))
	s.segs[len(s.segs)-1].last = e.Sequence
	s.dirty = true
	return nil
}

// sync makes what was appended durable.
func (s *spool) sync() error {
	s.mu.Lock()
	if !s.dirty || s.file == nil {
		s.mu.Unlock()
		return nil
	}
	err := s.w.Flush()
	f := s.file
	s.dirty = false
	s.mu.Unlock()
	if err != nil {
		return err
	}
	// The file may be closed by rotate meanwhile, which syncs it itself.
	if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// done removes the files of which everything up to sequence is recorded.
func (s *spool) done(sequence uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for len(s.segs) > 1 && s.segs[0].last <= sequence {
		err = errors.Join(err, os.Remove(s.name(s.segs[0].number)))
		s.segs = s.segs[1:]
	}
	if last := s.segs[0]; len(s.segs) == 1 && last.last != 0 && last.last <= sequence && s.file != nil {
		// All is recorded: begin the file anew, nothing needs to be synced.
		s.w.Reset(s.file)
		s.dirty, s.size, s.segs[0].last = false, 0, 0
		err = errors.Join(err, s.file.Truncate(0))
		_, serr := s.file.Seek(0, io.SeekStart)
		err = errors.Join(err, serr)
	}
	return err
}

func (s *spool) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closeFile()
}
