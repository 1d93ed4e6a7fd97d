package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/term"
)

func newPasswd() *cobra.Command {
	return &cobra.Command{
		Use:   "passwd",
		Short: "Print the bcrypt hash of a password, for password_hash",
		Long: `Read a password and print its bcrypt hash, the value for password_hash.

On a terminal you are asked twice, and the password is not shown; otherwise it is
the first line of standard input. The password is not stored.`,
		Example: `  graphrelay passwd
  openssl rand -base64 18 | tee scanner.txt | graphrelay passwd`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			password, err := readPassword(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := checkPassword(password); err != nil {
				return usageError{err}
			}
			hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), string(hash))
			return err
		},
	}
}

// maxPassword is the most bytes that bcrypt uses; it would ignore the rest.
const maxPassword = 72

func checkPassword(password string) error {
	switch {
	case password == "":
		return errors.New("the password is empty: type one, or write one to standard input")
	case len(password) > maxPassword:
		return fmt.Errorf("the password has %d bytes, and bcrypt uses at most %d: choose a shorter one", len(password),
			maxPassword)
	case strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("the password has a control character, which no client can send: choose another password")
	}
	return nil
}

// readPassword asks on a terminal, otherwise reads the first line.
func readPassword(ctx context.Context, in io.Reader, prompts io.Writer) (string, error) {
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := bufio.NewReader(io.LimitReader(in, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	first, err := ask(ctx, f, prompts, "Password: ")
	if err != nil {
		return "", err
	}
	second, err := ask(ctx, f, prompts, "Repeat it: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two passwords differ: run the command again")
	}
	return first, nil
}

// ask reads a line without showing it. If it is interrupted, the terminal is restored.
func ask(ctx context.Context, terminal *os.File, prompts io.Writer, prompt string) (string, error) {
	fd := int(terminal.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	type answer struct {
		password []byte
		err      error
	}
	answers := make(chan answer, 1)
	fmt.Fprint(prompts, prompt)
	go func() {
		p, err := term.ReadPassword(fd)
		answers <- answer{p, err}
	}()
	defer fmt.Fprintln(prompts)
	select {
	case a := <-answers:
		return string(a.password), a.err
	case <-ctx.Done():
		_ = term.Restore(fd, state)
		return "", errors.New("interrupted")
	}
}
