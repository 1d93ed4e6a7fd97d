package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/relay/envelope"
	"graphrelay/relay/sendmail"
	"graphrelay/relay/text"
)

// exitStatus is an exit code whose error has been printed.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// commandLine returns the arguments of graphrelay for argv: the names of the
// classic mail programs are commands.
func commandLine(argv []string) []string {
	if len(argv) == 0 {
		return nil
	}
	switch filepath.Base(argv[0]) {
	case "sendmail":
		return append([]string{"sendmail"}, argv[1:]...)
	case "mailq":
		return append([]string{"sendmail", "-bp"}, argv[1:]...)
	case "newaliases":
		return append([]string{"sendmail", "-bi"}, argv[1:]...)
	}
	return argv[1:]
}

func newSendmail() *cobra.Command {
	return &cobra.Command{
		Use:   "sendmail [OPTION...] [RECIPIENT...]",
		Short: "Hand a message on standard input to the relay, as /usr/sbin/sendmail does",
		Long: `Hand a message on standard input to the relay, as /usr/sbin/sendmail does.
A symbolic link named sendmail to graphrelay does the same.

  -t          also send to the recipients in To, Cc and Bcc
  -i, -oi     a line with only a dot does not end the message
  -f ADDRESS  envelope sender (default: the user, at the host's name); also -r
  -F NAME     full name, for the From field that is added if there is none
  -bs         speak SMTP on standard input and output
  -v          print the relay's reply

Other options of sendmail are accepted and ignored. Bcc fields are removed. The
message goes to unix:/run/graphrelay/submit.sock, or to the address in
/etc/graphrelay/sendmail.conf ("submit: unix:/PATH" or "submit: HOST:PORT") or
$GRAPHRELAY_SUBMIT. A message that cannot be handed over is kept in ~/dead.letter.

Exit codes: 0 accepted; 64 wrong usage, or no recipient; 65 the message or its
sender is refused; 67 a recipient is refused; 69 refused for another reason; 75 try
again later; 77 not allowed; 78 wrong $GRAPHRELAY_SUBMIT. If only some recipients
were refused, the others get the message. A message that nobody got and that could
not be kept in ~/dead.letter always exits with 75, so that the caller keeps it.`,
		Example: `  graphrelay sendmail -t < message.eml
  ln -s /usr/bin/graphrelay /usr/sbin/sendmail`,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := sendmail.ParseArgs(args)
			if a.Mode == sendmail.Help {
				return cmd.Help()
			}
			// A closed standard error must not keep the mail from dead.letter, and
			// the signals that main catches must end this program.
			signal.Ignore(syscall.SIGPIPE)
			signal.Reset(os.Interrupt, syscall.SIGTERM)
			s := newSubmission(a, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
			if err == nil {
				err = s.run(cmd.Context())
			}
			return s.exit(err)
		},
	}
}

// submission is one call of sendmail.
type submission struct {
	sendmail.Args
	account sendmail.Account
	home    string             // where dead.letter is; "" if unknown
	bad     []sendmail.Failure // named as a recipient, but not an address
	conf    string
	in      io.Reader
	out     io.Writer
	log     io.Writer
}

// newSubmission finds out who calls. $HOME and $USER come from the caller, who
// may be cron or sudo with those of another user: the name comes from the system
// first, and HOME is used only if it belongs to the user.
func newSubmission(a sendmail.Args, in io.Reader, out, log io.Writer) *submission {
	s := &submission{Args: a, conf: "/etc/graphrelay/sendmail.conf", in: in, out: out, log: log}
	s.account.Host, _ = os.Hostname() // Account uses localhost without one
	s.account.User = fmt.Sprintf("uid%d", os.Getuid())
	if u, err := user.Current(); err == nil {
		s.account.User, s.account.FullName, s.home = u.Username, u.Name, u.HomeDir
	}
	if home := os.Getenv("HOME"); ownDir(home) {
		s.home = home
	}
	if s.Name == "" {
		s.Name = s.account.FullName
	}
	return s
}

func ownDir(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() || !filepath.IsAbs(dir) {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Getuid()
}

func (s *submission) run(ctx context.Context) error {
	switch s.Mode {
	case sendmail.SMTP:
		return s.passThrough(ctx)
	case sendmail.Queue:
		_, err := fmt.Fprintln(s.out,
			"The mail queue is kept by the graphrelay service; an administrator lists it with: graphrelay queue list")
		return err
	case sendmail.Aliases:
		_, err := fmt.Fprintln(s.out,
			"Aliases are in config.yaml of graphrelay, under aliases; there is no database to rebuild.")
		return err
	case sendmail.Nothing:
		return nil
	}
	return s.send(ctx)
}

// send reads the message and hands it over. Once it is read, every failure leaves
// a dead letter.
func (s *submission) send(ctx context.Context) error {
	m, err := sendmail.Read(s.in, s.KeepDots, os.TempDir())
	if err != nil {
		return err
	}
	defer m.Close()
	from, err := s.sender()
	dead := sendmail.DeadLetter{Message: m, From: from, Now: time.Now()}
	if err != nil {
		return s.bury(dead, err)
	}
	letter, err := s.letter(m, from)
	if err != nil {
		return s.bury(dead, err)
	}
	dead.To = letter.To
	nc, err := s.dial(ctx)
	if err != nil {
		return s.bury(dead, err)
	}
	o := sendmail.Submit(nc, s.account.HostName(), letter)
	return s.conclude(dead, o)
}

func (s *submission) sender() (envelope.Address, error) {
	if s.Args.Sender == nil {
		return s.account.Address(), nil
	}
	return s.account.Sender(*s.Args.Sender)
}

// letter finds the recipients. What is not an address is reported at the end; the
// others get the message.
func (s *submission) letter(m *sendmail.Message, from envelope.Address) (*sendmail.Letter, error) {
	header, err := m.Header()
	if err != nil {
		return nil, err
	}
	var list sendmail.List
	for _, r := range s.Recipients {
		list.AddArgument(r)
	}
	if s.FromHeader {
		header.AddRecipients(&list)
	}
	for _, b := range list.Bad {
		s.bad = append(s.bad, sendmail.Failure{Err: sendmail.BadAddress(b)})
	}
	switch {
	case len(list.Good) > 0:
	case len(s.bad) > 0:
		return nil, &sendmail.Undelivered{Failed: s.bad}
	default:
		return nil, sendmail.UsageError("no recipient; name one, or use -t with a To field")
	}
	author := from
	if author.IsZero() {
		author = s.account.Address()
	}
	return m.Letter(header, from, list.Good, s.Name, author), nil
}

// conclude reports the outcome.
func (s *submission) conclude(dead sendmail.DeadLetter, o sendmail.Outcome) error {
	if s.Verbose {
		for _, reply := range o.Replies {
			s.print(s.out, "%s", text.Line(reply))
		}
	}
	failed := append(s.bad, o.Failed...)
	if len(failed) == 0 {
		return nil
	}
	dead.To = nil
	for _, f := range o.Failed {
		dead.To = append(dead.To, f.To)
	}
	err := s.bury(dead, &sendmail.Undelivered{Failed: failed})
	if len(o.Reached) == 0 {
		return err
	}
	s.say("the relay accepted the message for %d of %d recipients", len(o.Reached), len(o.Reached)+len(failed))
	if kept, ok := err.(callerKeeps); ok {
		return kept.cause // a second try would send to the others again
	}
	return err
}

// callerKeeps is a failure after which only the caller has the message.
type callerKeeps struct{ cause error }

func (e callerKeeps) Error() string { return e.cause.Error() }

// bury keeps the message, says where, and returns cause; where it cannot be kept,
// the exit code asks the caller to keep it.
func (s *submission) bury(dead sendmail.DeadLetter, cause error) error {
	dead.Cause = cause
	err := errors.New("this user has none")
	if filepath.IsAbs(s.home) {
		var path string
		if path, err = dead.Save(s.home); err == nil {
			s.say("the message was saved in %s", text.Line(path))
			return cause
		}
	}
	s.say("the message could not be saved in the home directory: %s; only the program that called sendmail still has "+
		"it; give this user a writable home directory", text.Line(err.Error()))
	return callerKeeps{cause}
}

func (s *submission) dial(ctx context.Context) (net.Conn, error) {
	server, err := s.server()
	if err != nil {
		return nil, err
	}
	nc, err := (&net.Dialer{Timeout: 30 * time.Second}).DialContext(ctx, server.network, server.address)
	if err != nil {
		return nil, fmt.Errorf("the relay does not answer: %w; is graphrelay running, and may this user connect to it?",
			err)
	}
	return nc, nil
}

// passThrough connects standard input and output with the relay; only if it does
// not answer is a reply made here.
func (s *submission) passThrough(ctx context.Context) error {
	nc, err := s.dial(ctx)
	if err != nil {
		s.print(s.out, "421 4.3.0 The relay does not answer, try again later\r")
		return err
	}
	defer nc.Close()
	go func() {
		_, _ = io.Copy(nc, s.in)
		if half, ok := nc.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	if _, err := io.Copy(s.out, nc); err != nil {
		return fmt.Errorf("the connection to the relay broke: %w", err)
	}
	return nil
}

// exit prints an error and gives it its exit code.
func (s *submission) exit(err error) error {
	if err == nil {
		return nil
	}
	s.say("%s", text.Line(err.Error()))
	if _, ok := err.(callerKeeps); ok {
		return exitStatus(sendmail.ExitTemporary)
	}
	var conf confError
	if errors.As(err, &conf) {
		return exitStatus(sendmail.ExitConfig)
	}
	return exitStatus(sendmail.ExitCode(err))
}

func (s *submission) say(format string, args ...any) {
	s.print(s.log, "sendmail: "+format, args...)
}

// print writes a line; if nobody reads it, nothing can be done.
func (s *submission) print(w io.Writer, format string, args ...any) {
	_, _ = io.WriteString(w, strings.TrimSuffix(fmt.Sprintf(format, args...), "\n")+"\n")
}
