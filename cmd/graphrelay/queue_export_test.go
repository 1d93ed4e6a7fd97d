package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/spf13/cobra"

	"graphrelay/relay/admin"
	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// breaking is a queue of three messages of which the second breaks off.
type breaking struct{ refusalReader }

var threeIDs = []string{"06hhgq2g00dcrdp1", "06hhgq2g00dcrdp2", "06hhgq2g00dcrdp3"}

func (breaking) List(context.Context, spool.Filter) (list []admin.Message, _ error) {
	for _, id := range threeIDs {
		list = append(list, admin.Message{QueueID: id, ReversePath: "a@b.example"})
	}
	return list, nil
}

func (breaking) Show(_ context.Context, id envelope.QueueID) (*admin.Detail, error) {
	return &admin.Detail{Message: admin.Message{QueueID: string(id)}}, nil
}

func (breaking) Body(_ context.Context, id envelope.QueueID) (io.ReadCloser, error) {
	text := io.Reader(strings.NewReader("Subject: " + string(id) + "\r\n\r\n" + strings.Repeat("text\r\n", 50_000)))
	if string(id) == threeIDs[1] {
		text = io.MultiReader(text, iotest.ErrReader(errors.New("damaged")))
	}
	return io.NopCloser(text), nil
}

// exporting runs an export and returns what came to standard output and error.
func exporting(t *testing.T, e *exporter, ids ...envelope.QueueID) (out, errOut string, err error) {
	t.Helper()
	var o, eo bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetOut(&o)
	cmd.SetErr(&eo)
	cmd.SetContext(t.Context())
	err = e.export(cmd, breaking{}, ids, spool.Filter{})
	return o.String(), eo.String(), err
}

// What breaks off midway is left out of an mbox as if it had never been begun.
func TestMboxHoldsWholeMessagesOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "all.mbox")
	out, errOut, err := exporting(t, &exporter{mbox: file})
	if !errors.Is(err, exitStatus(exitFailed)) || !strings.Contains(errOut, "not exported: "+threeIDs[1]+": damaged") ||
		out != "exported: 2 messages\n" {
		t.Errorf("%v, %q, %q", err, errOut, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	froms, got := readMbox(string(text))
	if len(froms) != 2 || len(got) != 2 || !strings.HasPrefix(got[0], "Subject: "+threeIDs[0]) ||
		!strings.HasPrefix(got[1], "Subject: "+threeIDs[2]) || len(got[0]) != len(got[1]) {
		t.Errorf("%d From lines, %d messages", len(froms), len(got))
	}
}

// Nothing can be taken back from standard output: it ends there, and that is said.
func TestStandardOutputEndsWhereAMessageBreaksOff(t *testing.T) {
	for name, c := range map[string]struct {
		e   *exporter
		ids []envelope.QueueID
	}{"mbox": {&exporter{mbox: "-"}, nil},
		"message": {&exporter{}, []envelope.QueueID{envelope.QueueID(threeIDs[1])}}} {
		out, _, err := exporting(t, c.e, c.ids...)
		if err == nil || !strings.Contains(err.Error(),
			threeIDs[1]+": damaged; the output stops in the middle of this message: discard it") ||
			strings.Contains(out, threeIDs[2]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
