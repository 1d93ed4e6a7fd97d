package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Files are the paths that WriteFiles wrote.
type Files struct {
	CA     string // ca.pem: the authority to trust for URL
	Secret string // secret.txt, 0600
	Config string // config.yaml for graphrelay
}

// WriteFiles writes into dir (made 0700 if absent) what a relay needs to use
// this double: call it after Start. Files of the same names are replaced. The
// application must have a secret.
func (d *Double) WriteFiles(dir string) (Files, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Files{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Files{}, err
	}
	f := Files{CA: filepath.Join(dir, "ca.pem"), Secret: filepath.Join(dir, "secret.txt"),
		Config: filepath.Join(dir, "config.yaml")}
	if d.URL() == "" || d.Secret() == "" {
		return Files{}, fmt.Errorf("the sandbox writes a configuration only while it listens and has a client secret")
	}
	for path, content := range map[string]string{f.CA: string(d.CAPEM()), f.Secret: d.Secret() + "\n",
		f.Config: d.config(dir, f)} {
		if err := replace(path, content); err != nil {
			return Files{}, err
		}
	}
	return f, nil
}

// replace writes a file anew, so that an old one's wider mode does not stay.
func replace(path, content string) error {
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return err
	}
	return writeNew(path, []byte(content))
}

// config is a complete configuration, all of whose files lie in dir.
func (d *Double) config(dir string, f Files) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# for the sandbox at %s, which is not Microsoft\n", d.URL())
	fmt.Fprintf(&b, "identities:\n  - tenant_id: %s\n    client_id: %s\n", d.o.TenantID, d.o.ClientID)
	fmt.Fprintf(&b, "    client_secret_file: %s\n    ca_file: %s\n", strconv.Quote(f.Secret), strconv.Quote(f.CA))
	submission := ""
	if at := d.SubmissionAddress(); at != "" {
		submission = fmt.Sprintf(", submission: %q", at)
	}
	fmt.Fprintf(&b, "    endpoints: {login: %q, graph: %q%s}\n", d.URL(), d.URL(), submission)
	if denied := d.tenant.denied(); denied != "" {
		fmt.Fprintf(&b, "    denied_mailbox: %s\n", strconv.Quote(denied))
	}
	fmt.Fprintf(&b, "senders:\n")
	senders := d.tenant.senders()
	if len(senders) == 0 {
		senders = []string{"notifications@contoso.com"}
	}
	for _, address := range senders {
		fmt.Fprintf(&b, "  - address: %s\n", strconv.Quote(address))
	}
	fmt.Fprintf(&b, "smtp:\n  listeners:\n    - address: 127.0.0.1:2525\n")
	fmt.Fprintf(&b, "queue:\n  store: %s\n", strconv.Quote("sqlite:"+filepath.Join(dir, "queue.db")))
	fmt.Fprintf(&b, "admin: {address: %s}\n", strconv.Quote("unix:"+filepath.Join(dir, "admin.sock")))
	return b.String()
}
