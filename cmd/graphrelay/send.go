package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-message/mail"
	"github.com/emersion/go-smtp"
	"github.com/spf13/cobra"

	"graphrelay/config"
	"graphrelay/relay/envelope"
	"graphrelay/relay/operator"
	"graphrelay/relay/text"
)

// testMail is the message of `graphrelay send`.
type testMail struct {
	server  string // host:port or unix:/path
	from    string
	to      []string
	subject string
	text    string
}

func newSend() *cobra.Command {
	var m testMail
	var file string
	cmd := &cobra.Command{
		Use:   "send --to ADDRESS",
		Short: "Send a test mail through the running relay, over SMTP",
		Long: `Send a test mail through the running relay as any program would, over SMTP, and
print its queue ID. By default it goes to the first listener of the configuration
that needs neither TLS nor a login, or to the submit socket of sendmail
(/run/graphrelay/submit.sock), and comes from default_sender; --server and --from
change that. If you may administer the relay, it is sent at once even while its
mailbox waits after failed attempts, as with graphrelay queue retry.`,
		Example: `  graphrelay send --to admin@contoso.com
  graphrelay send --server 127.0.0.1:2525 --from notifications@contoso.com --to you@example.org`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := m.complete(file); err != nil {
				return err
			}
			reply, err := m.send()
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "accepted: %s\n", text.Line(reply))
			tryNow(cmd, file, reply)
			return nil
		},
	}
	configFlag(cmd, &file)
	cmd.Flags().StringVar(&m.server, "server", "",
		"`HOST:PORT` or unix:/path of the relay (default: the first listener that needs neither TLS nor a login)")
	cmd.Flags().StringVar(&m.from, "from", "", "sender `ADDRESS` (default: default_sender)")
	cmd.Flags().StringSliceVar(&m.to, "to", nil, "recipient `ADDRESS`; may be repeated")
	cmd.Flags().StringVar(&m.subject, "subject", "Test mail from graphrelay", "`SUBJECT` of the mail")
	cmd.Flags().StringVar(&m.text, "text", "This is a test mail. If you can read it, graphrelay forwards mail.",
		"`TEXT` of the mail")
	return cmd
}

// complete fills in from the configuration what the flags do not say.
func (m *testMail) complete(file string) error {
	if len(m.to) == 0 {
		return usageError{errors.New("no recipient; add --to ADDRESS")}
	}
	for _, a := range append([]string{m.from}, m.to...) {
		if _, err := envelope.ParseAddress(a); err != nil && a != "" {
			return usageError{err}
		}
	}
	if strings.ContainsAny(m.subject+m.text, "\r\x00") || strings.Contains(m.subject, "\n") {
		return usageError{errors.New("--subject must be one line, and neither it nor --text may contain CR or NUL")}
	}
	if m.server != "" && m.from != "" {
		return nil
	}
	c, err := config.Load(file)
	if err != nil {
		return err
	}
	if m.from == "" {
		m.from = c.DefaultSender.String()
	}
	if m.server == "" {
		m.server, err = plainListener(c.SMTP.Listeners)
	}
	return err
}

// plainListener finds where a program of this host can hand over a mail
// without TLS and without a login. Which port a socket of systemd has is not
// known here, but with one of them there is also the submit socket.
func plainListener(all []config.Listener) (string, error) {
	bySystemd := false
	for _, l := range all {
		a := l.Address
		bySystemd = bySystemd || a.Network == "systemd"
		if a.Network == "systemd" || l.TLS == "required" || l.TLS == "implicit" || l.Auth == "required" {
			continue
		}
		if a.Network == "tcp" && a.Addr.Addr().IsUnspecified() {
			return net.JoinHostPort("localhost", strconv.Itoa(int(a.Addr.Port()))), nil
		}
		return a.String(), nil
	}
	if bySystemd {
		return defaultServer.network + ":" + defaultServer.address, nil
	}
	return "", usageError{errors.New("every listener of the configuration needs TLS or a login, which send does not " +
		"support; name one that needs neither with --server HOST:PORT or unix:/PATH")}
}

func (m *testMail) send() (string, error) {
	network, address := "tcp", m.server
	if path, ok := strings.CutPrefix(m.server, "unix:"); ok {
		network, address = "unix", path
	}
	conn, err := net.DialTimeout(network, address, 10*time.Second)
	if err != nil {
		return "", fmt.Errorf("%w; is the relay running?", err)
	}
	c := smtp.NewClient(conn)
	defer c.Close()
	if err := c.Mail(m.from, nil); err != nil {
		return "", fmt.Errorf("the relay refused the sender: %w", err)
	}
	for _, to := range m.to {
		if err := c.Rcpt(to, nil); err != nil {
			return "", fmt.Errorf("the relay refused the recipient %s: %w", to, err)
		}
	}
	w, err := c.Data()
	if err != nil {
		return "", err
	}
	if err := m.compose(w); err != nil {
		return "", err
	}
	res, err := w.CloseWithResponse()
	if err != nil {
		return "", fmt.Errorf("the relay refused the message: %w", err)
	}
	_ = c.Quit()
	return res.StatusText, nil
}

// tryNow has the mail that a reply names sent now, even if attempts have failed
// before it. A user who may not administer the relay waits for the next attempt.
func tryNow(cmd *cobra.Command, file, reply string) {
	service, err := dialService(cmd.Context(), file)
	if err != nil {
		return
	}
	var ids []envelope.QueueID
	for word := range strings.FieldsSeq(reply) {
		if id, err := envelope.ParseQueueID(word); err == nil {
			ids = append(ids, id)
		}
	}
	retry := operator.Change{Action: operator.Retry, IDs: ids}
	_ = service.Change(cmd.Context(), retry,
		func(p operator.Progress) { printWaits(cmd.OutOrStdout(), p.Waits, time.Now()) })
}

// compose writes the mail; the relay adds Date and Message-ID.
func (m *testMail) compose(w io.Writer) error {
	var h mail.Header
	h.SetAddressList("From", []*mail.Address{{Address: m.from}})
	to := make([]*mail.Address, len(m.to))
	for i, a := range m.to {
		to[i] = &mail.Address{Address: a}
	}
	h.SetAddressList("To", to)
	h.SetSubject(m.subject)
	h.SetContentType("text/plain", map[string]string{"charset": "utf-8"})
	body, err := mail.CreateSingleInlineWriter(w, h)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(body, m.text+"\n"); err != nil {
		return err
	}
	return body.Close()
}
