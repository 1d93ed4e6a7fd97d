package sendmail

import (
	"bytes"
	"strings"
	"testing"

	"graphrelay/relay/costtest"
	"graphrelay/relay/envelope"
)

// No message and no list costs more than its length to hand over.
func TestCostOfSending(t *testing.T) {
	dir := t.TempDir()
	same := func(text string) string { return text }
	lines := []string{"a\n", "To: a@b\n", ".\n", " \n", "\r", "From x\n", "Bcc: \"\n"}
	costtest.Linear(t, lines, same, func(in string) {
		m, err := Read(strings.NewReader(in), true, dir)
		if err != nil {
			return
		}
		defer m.Close()
		h, err := m.Header()
		if err != nil {
			return
		}
		var l List
		h.AddRecipients(&l)
		var b bytes.Buffer
		_, _ = m.Letter(h, envelope.Address{}, l.Good, "", account.Address()).write(&b)
	})
	costtest.Linear(t, []string{`"`, `\`, "(", "<", ">", ",", "a@b,", ":", ";"}, same, func(in string) {
		var l List
		l.AddHeader(in)
		l.AddArgument(in)
	})
}
