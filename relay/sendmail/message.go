package sendmail

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	// inMemory is how much of a message is kept without a file.
	inMemory = 1 << 20
	// maxMessage stops a job that writes without end; no relay accepts as much.
	maxMessage = 128 << 20
)

// ErrTooLarge is a message larger than 128 MiB. Nothing of it is kept.
var ErrTooLarge = errors.New("the message is larger than 128 MiB")

// Message is a message as it was read.
type Message struct {
	text []byte   // all of it, or nothing if there is a file
	file *os.File // unlinked: nobody else can open it, and it disappears with the process
	size int64
}

// Read reads a message to its end; a line that is only a dot ends it unless
// keepDots. A message larger than 1 MiB is kept in a temporary file in dir. Close
// must be called.
func Read(r io.Reader, keepDots bool, dir string) (*Message, error) {
	m := &Message{}
	if err := m.read(bufio.NewReaderSize(r, 32<<10), keepDots, dir); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func (m *Message) read(in *bufio.Reader, keepDots bool, dir string) error {
	var out *bufio.Writer
	for lineStart := true; ; {
		line, err := in.ReadSlice('\n')
		if lineStart && !keepDots && string(bytes.TrimRight(line, "\r\n")) == "." {
			break
		}
		lineStart = err == nil
		if m.size += int64(len(line)); m.size > maxMessage {
			return ErrTooLarge
		}
		switch {
		case out != nil:
			_, _ = out.Write(line) // Flush returns the error
		case m.size <= inMemory:
			m.text = append(m.text, line...)
		default:
			if out, err = m.toFile(dir, err); out == nil {
				return err
			}
			_, _ = out.Write(line)
		}
		if err == io.EOF {
			break
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return fmt.Errorf("standard input: %w", err)
		}
	}
	if out == nil {
		return nil
	}
	return out.Flush()
}

// toFile moves what was read into a file. It passes on the error of the read, or
// returns no writer and its own error.
func (m *Message) toFile(dir string, readErr error) (*bufio.Writer, error) {
	f, err := os.CreateTemp(dir, "sendmail-")
	if err != nil {
		return nil, fmt.Errorf("a message of this size needs a temporary file: %w; set TMPDIR to a directory with "+
			"enough space", err)
	}
	m.file = f
	if err := os.Remove(f.Name()); err != nil {
		return nil, err
	}
	out := bufio.NewWriterSize(f, 64<<10)
	_, _ = out.Write(m.text)
	m.text = nil
	return out, readErr
}

// from reads the message from an offset on.
func (m *Message) from(offset int64) io.Reader {
	if m.file != nil {
		return io.NewSectionReader(m.file, offset, m.size-offset)
	}
	return bytes.NewReader(m.text[offset:])
}

// Close releases the memory and the file.
func (m *Message) Close() {
	m.text = nil
	if m.file != nil {
		_ = m.file.Close()
	}
}
