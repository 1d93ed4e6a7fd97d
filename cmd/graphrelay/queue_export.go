package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/cmd/graphrelay/terminal"
	"graphrelay/relay/admin"
	"graphrelay/relay/envelope"
	"graphrelay/relay/sendmail"
	"graphrelay/relay/spool"
	"graphrelay/relay/text"
)

func newQueueExport() *cobra.Command {
	var file string
	var pick selection
	e := &exporter{}
	cmd := &cobra.Command{
		Use:   "export [QUEUE-ID...]",
		Short: "Write messages as they are stored into .eml files or an mbox",
		Long: `Write messages as they are stored: one to standard output, several into a folder
(QUEUE-ID.eml each) or into an mbox (mboxrd). They stay in the queue. The content
of sent and deleted messages is gone. Existing files are not overwritten. If a
message cannot be read completely, it is left out of the folder or mbox; on
standard output the export stops. The exit code is then 1.`,
		Example: `  graphrelay queue export 06hhgq2g00dcrdpj > message.eml
  graphrelay queue export --all --dir /var/tmp/queue
  graphrelay queue export --state failed --mbox failed.mbox`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, f, err := pick.read(args, time.Now())
			if err == nil {
				err = e.check(cmd.OutOrStdout(), ids)
			}
			if err != nil {
				return usageError{err}
			}
			if len(f.States) == 0 {
				f.States = spool.Unsent()
			}
			return withQueue(cmd.Context(), file, func(q queueReader) error { return e.export(cmd, q, ids, f) })
		},
	}
	configFlag(cmd, &file)
	pick.add(cmd)
	cmd.Flags().StringVar(&e.dir, "dir", "",
		"write QUEUE-ID.eml files into this `FOLDER`, created if it does not exist")
	cmd.Flags().StringVar(&e.mbox, "mbox", "", "write one mbox `FILE`; - is standard output")
	return cmd
}

// exporter writes messages to one of three places.
type exporter struct {
	dir, mbox string
	out       io.Writer // standard output
	file      *os.File  // of mbox; nil if that is standard output
	count     int
	failed    int
}

func (e *exporter) check(out io.Writer, ids []envelope.QueueID) error {
	switch {
	case e.dir != "" && e.mbox != "":
		return errors.New("--dir and --mbox cannot be combined")
	case e.dir == "" && e.mbox == "" && len(ids) != 1:
		return errors.New("one message goes to standard output; for several add --dir FOLDER or --mbox FILE")
	case e.dir == "" && (e.mbox == "" || e.mbox == "-") && terminal.Is(out):
		return errors.New("a raw message can contain control characters that affect the terminal: redirect the " +
			"output into a file, or use `graphrelay queue show --body`")
	}
	return nil
}

func (e *exporter) export(cmd *cobra.Command, q queueReader, ids []envelope.QueueID, f spool.Filter) (err error) {
	closing, err := e.open(cmd.OutOrStdout())
	if err != nil {
		return err
	}
	m := terminal.NewMeter(cmd.ErrOrStderr(), "exporting", len(ids))
	each := func(message admin.Message) error {
		switch err := e.one(cmd.Context(), q, message); {
		case errors.Is(err, errCut):
			return fmt.Errorf("%s: %w", message.QueueID, err)
		case err != nil:
			e.failed++
			fmt.Fprintf(cmd.ErrOrStderr(), "not exported: %s: %s\n", message.QueueID, text.Line(err.Error()))
		default:
			e.count++
		}
		m.Show(e.count + e.failed)
		return nil
	}
	if len(ids) > 0 {
		err = e.named(cmd.Context(), q, ids, each)
	} else {
		err = pages(cmd.Context(), q, f, 1<<62, func(page []admin.Message) error {
			for _, message := range page {
				if err := each(message); err != nil {
					return err
				}
			}
			return cmd.Context().Err()
		})
	}
	m.End()
	if err = errors.Join(err, closing()); err != nil {
		return err
	}
	if e.dir != "" || e.mbox != "" && e.mbox != "-" {
		fmt.Fprintf(cmd.OutOrStdout(), "exported: %s\n", messages(e.count))
	}
	if e.failed > 0 {
		return exitStatus(exitFailed)
	}
	return nil
}

func (e *exporter) named(ctx context.Context, q queueReader, ids []envelope.QueueID,
	each func(admin.Message) error) error {
	for _, id := range ids {
		d, err := q.Show(ctx, id)
		if err != nil {
			return noMessage(id, err)
		}
		if err := each(d.Message); err != nil {
			return err
		}
	}
	return nil
}

// open makes the folder, or the mbox.
func (e *exporter) open(out io.Writer) (closing func() error, err error) {
	e.out = out
	nothing := func() error { return nil }
	switch {
	case e.dir != "":
		return nothing, os.MkdirAll(e.dir, 0o700)
	case e.mbox == "" || e.mbox == "-":
		return nothing, nil
	}
	f, err := os.OpenFile(e.mbox, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s exists and is not overwritten; name another file", e.mbox)
	}
	if err != nil {
		return nil, err
	}
	e.file = f
	return f.Close, nil
}

// errCut is the error of an incomplete message on standard output.
var errCut = errors.New("the output stops in the middle of this message: discard it and export with --dir FOLDER or " +
	"--mbox FILE, which write only complete messages")

func (e *exporter) one(ctx context.Context, q queueReader, m admin.Message) error {
	body, err := q.Body(ctx, envelope.QueueID(m.QueueID))
	if errors.Is(err, spool.ErrNotFound) {
		return fmt.Errorf("its content is deleted: the message is %s", m.State)
	}
	if err != nil {
		return err
	}
	defer body.Close()
	switch {
	case e.file != nil:
		return e.appendWhole(m, body)
	case e.dir != "":
		return writeWhole(filepath.Join(e.dir, m.QueueID+".eml"), body)
	case e.mbox != "":
		err = writeMbox(e.out, m.ReversePath, m.Accepted, body)
	default:
		_, err = io.Copy(e.out, body)
	}
	if err != nil {
		return fmt.Errorf("%w; %w", err, errCut)
	}
	return nil
}

// appendWhole adds a complete message to the mbox, or nothing.
func (e *exporter) appendWhole(m admin.Message, body io.Reader) error {
	end, err := e.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if err := writeMbox(e.file, m.ReversePath, m.Accepted, body); err != nil {
		return errors.Join(err, e.file.Truncate(end))
	}
	return nil
}

// writeWhole writes a complete file, or none.
func writeWhole(path string, from io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists and is not overwritten", path)
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// writeMbox appends a message to an mbox, with line ends of one byte. Reading it
// as mboxrd gives every line back.
func writeMbox(w io.Writer, reversePath string, accepted time.Time, message io.Reader) error {
	out := bufio.NewWriter(w)
	from := oneWord(cmp.Or(reversePath, "MAILER-DAEMON"))
	fmt.Fprintf(out, "From %s %s\n", from, accepted.UTC().Format(time.ANSIC))
	err := sendmail.CopyMbox(out, message, func(piece []byte) []byte {
		if line, whole := bytes.CutSuffix(piece, []byte("\n")); whole {
			return append(bytes.TrimSuffix(line, []byte("\r")), '\n')
		}
		return piece
	})
	return errors.Join(err, out.Flush())
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
