package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// writeMbox appends a message to an mbox in the form mboxrd: a From line, line
// ends of one byte, each line that begins with "From " after any number of
// ">" gets one more, and an empty line at the end. Reading it as mboxrd gives
// every line back.
func writeMbox(w io.Writer, reversePath string, accepted time.Time, message io.Reader) error {
	if reversePath == "" {
		reversePath = "MAILER-DAEMON"
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "From %s %s\n", oneWord(reversePath), accepted.UTC().Format(time.ANSIC))
	in := bufio.NewReaderSize(message, 64<<10)
	begin := true // of a line
	for {
		piece, err := in.ReadSlice('\n')
		if begin && len(piece) > 0 && quoted(piece) {
			_ = out.WriteByte('>') // Flush returns the error
		}
		whole := bytes.HasSuffix(piece, []byte("\n"))
		if whole {
			piece = append(bytes.TrimSuffix(bytes.TrimSuffix(piece, []byte("\n")), []byte("\r")), '\n')
		}
		_, _ = out.Write(piece)
		begin = whole || len(piece) == 0 && begin
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return errors.Join(err, out.Flush())
		}
	}
	if !begin {
		_ = out.WriteByte('\n')
	}
	_ = out.WriteByte('\n')
	return out.Flush()
}

// quoted reports whether a line could be mistaken for a From line.
func quoted(line []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From "))
}

// oneWord makes an address one word of a From line.
func oneWord(s string) string {
	return string(bytes.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return '-'
		}
		return r
	}, []byte(s)))
}
