package file

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
)

// Log is the log (WAL) of a database as it is on the disk. SQLite reads it up to the
// first frame that is not as it was written, and takes that for a commit that a crash
// interrupted. Where each commit is flushed before the next is written, as it is here,
// two further commits behind such a frame prove that the disk changed it.
type Log struct {
	bytes    []byte
	pageSize int
	order    binary.ByteOrder
	frames   []frame
	bad      int // the first that is not as it was written; len(frames) if all are
}

type frame struct {
	page, commit uint32 // commit: pages of the database after it; 0 for a frame that ends none
	current      bool   // it is not of an earlier round of the log
	whole        bool   // it is as it was written
	data         []byte
}

const (
	logHeader   = 32
	frameHeader = 24
)

// ReadLog reads a log. One that is not there, or no log at all, has no frames.
func ReadLog(path string) (*Log, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	l := &Log{bytes: b}
	if err != nil || len(b) < logHeader {
		return l, err
	}
	word := func(at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
	l.pageSize = int(word(8))
	if word(0)&^1 != 0x377f0682 || l.pageSize < 512 || l.pageSize > 65536 {
		return l, nil
	}
	if l.order = binary.ByteOrder(binary.LittleEndian); word(0)&1 == 1 {
		l.order = binary.BigEndian
	}
	sum, salts := [2]uint32{word(24), word(28)}, b[16:24]
	chained := l.sum([2]uint32{}, b[:24]) == sum
	if first := logHeader + frameHeader + l.pageSize; !chained && len(b) >= first {
		salts = b[logHeader+8 : logHeader+16] // the header is damaged: what it had is in each frame
	}
	for at := logHeader; at+frameHeader+l.pageSize <= len(b); at += frameHeader + l.pageSize {
		f := frame{page: word(at), commit: word(at + 4), data: b[at+frameHeader : at+frameHeader+l.pageSize]}
		f.current = bytes.Equal(b[at+8:at+16], salts)
		written := [2]uint32{word(at + 16), word(at + 20)}
		f.whole = f.current && l.sum(l.sum(sum, b[at:at+8]), f.data) == written
		if chained = chained && f.whole; chained {
			l.bad = len(l.frames) + 1
		}
		sum = written
		l.frames = append(l.frames, f)
	}
	return l, nil
}

// sum is SQLite's checksum of some bytes behind others.
func (l *Log) sum(s [2]uint32, b []byte) [2]uint32 {
	for ; len(b) >= 8; b = b[8:] {
		s[0] += l.order.Uint32(b) + s[1]
		s[1] += l.order.Uint32(b[4:]) + s[0]
	}
	return s
}

// Damaged reports whether commits are behind the place where SQLite stops reading,
// which the last flush had left whole.
func (l *Log) Damaged() bool {
	ends := 0
	for _, f := range l.frames[l.bad:] {
		if f.current && f.commit > 0 {
			ends++
		}
	}
	return ends >= 2
}

// Bytes are the log as it is.
func (l *Log) Bytes() []byte { return l.bytes }

// Apply writes the pages of all whole frames into a copy of the database, up to the last
// commit: what SQLite would have read, without what was damaged.
func (l *Log) Apply(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	last := -1
	for i, frame := range l.frames {
		if frame.whole && frame.commit > 0 {
			last = i
		}
	}
	for _, frame := range l.frames[:last+1] {
		if frame.whole {
			if _, err := f.WriteAt(frame.data, int64(frame.page-1)*int64(l.pageSize)); err != nil {
				return errors.Join(err, f.Close())
			}
		}
	}
	if last >= 0 {
		err = f.Truncate(int64(l.frames[last].commit) * int64(l.pageSize))
	}
	return errors.Join(err, f.Close())
}
