package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"graphrelay/cmd/graphrelay/terminal"
	"graphrelay/relay/renewal"
	"graphrelay/relay/setup/certificate"
	"graphrelay/relay/text"
)

func newCert() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cert",
		Short: "Create, show and renew the certificate that the relay logs in with",
		Example: `  graphrelay cert new --out /etc/graphrelay
  graphrelay cert show /etc/graphrelay/entra.pem
  graphrelay cert renew /etc/graphrelay/entra.pem`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCertNew(), newCertShow(), newCertRenew(), newCertRoll())
	return cmd
}

func newCertNew() *cobra.Command {
	var dir string
	r := certificate.Request{}
	cmd := &cobra.Command{
		Use:   "new [--out DIR]",
		Short: "Create an RSA key and a self-signed certificate",
		Long: `Create an RSA key and a self-signed certificate, and write into DIR:

  entra.pem   certificate and private key, for certificate_file; made by root:
              root:graphrelay, mode 0640, for the service to read; else mode 0600
  entra.cer   the certificate alone, to upload to the app registration

Existing files are never overwritten. The private key is never sent anywhere.`,
		Example: `  graphrelay cert new --out /etc/graphrelay
  graphrelay cert new --out . --name relay01 --days 365`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return makePair(cmd.OutOrStdout(), filepath.Join(dir, "entra"), r)
		},
	}
	cmd.Flags().StringVar(&dir, "out", ".", "existing `DIR` to write entra.pem and entra.cer into")
	pairFlags(cmd, &r)
	return cmd
}

func pairFlags(cmd *cobra.Command, r *certificate.Request) {
	cmd.Flags().StringVar(&r.Name, "name", "graphrelay", "common `NAME` in the certificate, as Entra lists it")
	cmd.Flags().IntVar(&r.Days, "days", 730, "`DAYS` of validity")
	cmd.Flags().IntVar(&r.Bits, "bits", 3072, "`BITS` of the RSA key")
}

// makePair writes BASE.pem and BASE.cer and says what to do with them.
func makePair(w io.Writer, base string, r certificate.Request) error {
	r.Now = time.Now()
	if err := r.Check(); err != nil {
		return usageError{err}
	}
	for _, file := range []string{base + ".pem", base + ".cer"} {
		if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s exists and is not overwritten: choose another folder, or create the next one with "+
				"`graphrelay cert renew %s.pem`", file, base)
		}
	}
	p, err := certificate.New(r)
	if err != nil {
		return err
	}
	if err := writeNew(base+".pem", p.PEM, 0o600); err != nil {
		return err
	}
	if err := writeNew(base+".cer", p.Cer, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s.pem  certificate and private key: for certificate_file in the configuration; keep it private\n",
		base)
	fmt.Fprintf(w, "%s.cer  the certificate alone: upload it to the app registration\n\n", base)
	printPair(w, p.Info, r.Now)
	return giveToService(w, base+".pem")
}

// giveToService lets the group of the service read a key, and says so, or what an
// administrator must do.
func giveToService(w io.Writer, path string) error {
	group, err := user.LookupGroup("graphrelay")
	if err != nil || os.Geteuid() != 0 {
		_, err = fmt.Fprintf(w, "\nLet the service read its key:  chgrp graphrelay %s && chmod 640 %s\n", path, path)
		return err
	}
	id, err := strconv.Atoi(group.Gid)
	if err == nil {
		err = errors.Join(os.Chown(path, 0, id), os.Chmod(path, 0o640))
	}
	if err != nil {
		return fmt.Errorf("the service cannot read its key yet: %w; run: chgrp graphrelay %s && chmod 640 %s",
			err, path, path)
	}
	_, err = fmt.Fprintf(w, "\nThe service can read its key: %s is root:graphrelay, mode 0640.\n", path)
	return err
}

// writeNew writes and flushes a file that must not exist yet.
func writeNew(path string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("%w; name an existing folder that you can write to", err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func newCertShow() *cobra.Command {
	var passwordFile string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Show the certificate in a PEM, PFX or .cer file, and whether the key matches",
		Long: `Show subject, key type, validity and thumbprints of the certificate in a PEM,
PFX or .cer file, and whether the private key belongs to it. The key itself is
never shown. A certificate that renews itself has its history below. The exit
code is 1 if the relay cannot log in with this file.`,
		Example: `  graphrelay cert show /etc/graphrelay/entra.pem
  graphrelay cert show --password-file pfx-password.txt relay.pfx`,
		Args: arguments(1, 1, "a FILE with a certificate"),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, err := readPair(args[0], passwordFile)
			if err != nil {
				return err
			}
			now := time.Now()
			problem := info.Problem(now)
			if asJSON {
				err = terminal.PrintJSON(cmd.OutOrStdout(), pairJSON(info, problem))
			} else {
				printPair(cmd.OutOrStdout(), info, now)
				printRenewals(cmd.OutOrStdout(), args[0])
			}
			if err == nil && problem != "" && !strings.HasSuffix(args[0], ".cer") {
				err = fmt.Errorf("%s: %s", args[0], problem)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&passwordFile, "password-file", "", "`FILE` with the password of a PFX file")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// maxPair bounds what is read; a chain with a key has a few KiB.
const maxPair = 256 << 10

func readPair(file, passwordFile string) (certificate.Info, error) {
	data, err := readSmall(file)
	if err != nil {
		return certificate.Info{}, err
	}
	password := ""
	if passwordFile != "" {
		text, err := readSmall(passwordFile)
		if err != nil {
			return certificate.Info{}, err
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	info, err := certificate.Read(data, password)
	if err != nil {
		return info, fmt.Errorf("%s: %w", file, err)
	}
	return info, nil
}

func readSmall(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w; correct the path, or run this as a user who can read it", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPair+1))
	if err == nil && len(data) > maxPair {
		err = fmt.Errorf("%s is larger than %d KiB, too large for a certificate or password: correct the path", file,
			maxPair>>10)
	}
	return data, err
}

func printPair(w io.Writer, i certificate.Info, now time.Time) {
	key := "none in this file"
	switch {
	case i.KeyFits:
		key = "in this file, belongs to the certificate"
	case i.HasKey:
		key = "in this file, but for ANOTHER certificate"
	}
	valid := i.NotBefore.UTC().Format(time.DateOnly) + " to " + i.NotAfter.UTC().Format(time.DateOnly)
	for _, row := range [][2]string{
		{"Subject", text.Line(i.Subject)},
		{"Key", i.KeyType},
		{"Private key", key},
		{"Valid", valid + " (" + remaining(i, now) + ")"},
		{"Thumbprint", i.SHA1 + " (as the portal, Graph and az list it)"},
		{"  SHA-256", i.SHA256},
	} {
		fmt.Fprintf(w, "%-27s%s\n", row[0], row[1])
	}
}

// printRenewals prints the history of a certificate that renews itself.
func printRenewals(w io.Writer, file string) {
	n, err := renewal.ReadNote(file)
	if err != nil {
		fmt.Fprintf(w, "\nRenewals: %s\n", text.Line(err.Error()))
	}
	for i, e := range n.Events {
		if i == 0 {
			fmt.Fprintln(w, "\nRenewals:")
		}
		fmt.Fprintf(w, "  %s\n", text.Line(e.String()))
	}
}

func remaining(i certificate.Info, now time.Time) string {
	switch {
	case now.After(i.NotAfter):
		return "EXPIRED"
	case now.Before(i.NotBefore):
		return "NOT YET VALID"
	}
	return fmt.Sprintf("%d days left", int(i.NotAfter.Sub(now).Hours()/24))
}

func pairJSON(i certificate.Info, problem string) any {
	return map[string]any{
		"form": i.Form, "subject": i.Subject, "key_type": i.KeyType, "not_before": i.NotBefore.UTC(),
		"not_after":  i.NotAfter.UTC(),
		"thumbprint": i.SHA1, "key_id": i.SHA1, "sha256": i.SHA256, "has_key": i.HasKey, "key_fits": i.KeyFits,
		"problem": problem,
	}
}

func newCertRenew() *cobra.Command {
	r := certificate.Request{}
	cmd := &cobra.Command{
		Use:   "renew FILE",
		Short: "Create the next certificate beside the one in use, and explain how to switch",
		Long: `Create the next key and certificate beside the one in FILE (entra.pem gives
entra-next.pem and entra-next.cer), with the same name, and explain in which
order to upload and switch. The certificate in use does not change.`,
		Example: `  graphrelay cert renew /etc/graphrelay/entra.pem`,
		Args:    arguments(1, 1, "a FILE with a certificate"),
		RunE: func(cmd *cobra.Command, args []string) error {
			old, err := readPair(args[0], "")
			if err != nil {
				return err
			}
			if old.Form != "PEM" || !old.HasKey {
				return usageError{fmt.Errorf("%s is not a PEM file with a private key: name the file of "+
					"certificate_file, or create a new pair with `graphrelay cert new`", args[0])}
			}
			if !cmd.Flags().Changed("name") {
				r.Name = old.Name
			}
			base := strings.TrimSuffix(args[0], filepath.Ext(args[0])) + "-next"
			if err := makePair(cmd.OutOrStdout(), base, r); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), switching, base, base, args[0], old.SHA1)
			return err
		},
	}
	pairFlags(cmd, &r)
	return cmd
}

// switching is the order in which no login fails: both certificates are valid during the switch.
const switching = `
Switch in this order, so that no login fails:
  1. Upload %s.cer to the app registration, beside the old one
     (Certificates & secrets > Certificates > Upload certificate).
  2. Wait a few minutes, then replace the file; the relay loads it automatically:
       mv %s.pem %s
  3. graphrelay verify --to ADMIN
  4. Only then remove the old certificate from the app registration: thumbprint
     %s
`
