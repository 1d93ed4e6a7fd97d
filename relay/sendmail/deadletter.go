package sendmail

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/message"
)

const (
	// maxDeadLetter keeps a job that fails every minute from filling the disk.
	maxDeadLetter = 64 << 20
	lockPatience  = 10 * time.Second
	lockPause     = 20 * time.Millisecond
)

// DeadLetter is what is kept of a message that could not be handed over.
type DeadLetter struct {
	Message *Message
	From    envelope.Address
	To      []envelope.Address // who did not get it
	Cause   error
	Now     time.Time
}

// Save appends d to the mbox file dead.letter in dir and returns the file's
// name. The file belongs to the user alone (0600); a symbolic link, a hard
// link, another user's file and anything but a regular file are refused, because
// others may be able to write to dir. An incomplete record is removed again.
func (d DeadLetter) Save(dir string) (path string, err error) {
	path = filepath.Join(dir, "dead.letter")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return "", err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	if err := checkOwn(f, path); err != nil {
		return "", err
	}
	if err := lock(f); err != nil {
		return "", err
	}
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if info.Size() > maxDeadLetter {
		return "", fmt.Errorf("%s is larger than %d MiB; read it and remove it", path, maxDeadLetter>>20)
	}
	if err := d.write(f); err != nil {
		return "", errors.Join(err, f.Truncate(info.Size()))
	}
	return path, nil
}

// checkOwn examines the open file: the name may lead elsewhere a moment later.
func checkOwn(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || int(st.Uid) != os.Getuid() || st.Nlink != 1 {
		return fmt.Errorf("%s is not a file of this user alone; move it away", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return f.Chmod(0o600)
	}
	return nil
}

// lock waits for other writers, but not forever.
func lock(f *os.File) error {
	for end := time.Now().Add(lockPatience); ; time.Sleep(lockPause) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil || !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is locked by another program", f.Name())
		}
	}
}

// write writes one record: the cause, the recipients, and the message as it was
// given, blind recipients included. The relay drops X-Graphrelay fields, so that
// `formail -s sendmail -t < dead.letter` sends the whole file again.
func (d DeadLetter) write(f *os.File) error {
	w := bufio.NewWriterSize(f, 64<<10)
	sender := d.From.String()
	if sender == "" || strings.ContainsAny(sender, " \t") {
		sender = "MAILER-DAEMON"
	}
	fmt.Fprintf(w, "From %s %s\n", sender, d.Now.Format(time.ANSIC))
	fmt.Fprintf(w, "X-Graphrelay-Cause: %s\n", printable(d.Cause.Error()))
	for _, a := range d.To {
		fmt.Fprintf(w, "X-Graphrelay-Recipient: %s\n", a)
	}
	if h, err := d.Message.Header(); err == nil && h.Empty() {
		_ = w.WriteByte('\n') // the message has no header of its own
	}
	first := true
	err := CopyMbox(w, d.Message.from(0), func(line []byte) []byte {
		if first && message.IsMboxFrom(line) {
			line = nil
		}
		first = false
		return line
	})
	if err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Sync()
}

// CopyMbox copies a message as mboxrd has it: each line that begins with "From "
// after any number of ">" gets one more, so that it does not look like the start
// of another message, and an empty line ends it. change is given each line, or
// each piece of a long one. Errors of w are left to Flush.
func CopyMbox(w *bufio.Writer, r io.Reader, change func(piece []byte) []byte) error {
	in := bufio.NewReaderSize(r, 64<<10)
	lineStart := true
	for {
		line, err := in.ReadSlice('\n')
		line = change(line)
		if lineStart && bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) {
			_ = w.WriteByte('>')
		}
		_, _ = w.Write(line)
		switch {
		case err == nil:
			lineStart = true
		case errors.Is(err, bufio.ErrBufferFull):
			lineStart = false
		case errors.Is(err, io.EOF):
			if !lineStart || len(line) > 0 {
				_ = w.WriteByte('\n')
			}
			_ = w.WriteByte('\n')
			return nil
		default:
			return err
		}
	}
}
