package charttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	core "k8s.io/api/core/v1"
)

// program builds graphrelay.
func program(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "graphrelay")
	build := exec.Command("go", "build", "-o", binary, "./cmd/graphrelay")
	build.Dir = "../../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return binary
}

// check runs `graphrelay check` on a configuration of a container, whose folders are
// made in a temporary one.
func check(t *testing.T, binary, config string) (out string, err error) {
	t.Helper()
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("secrets/entra/secret", "abc~1234567890123456789012345678901234\n")
	write("secrets/entra/hook.url", "https://hooks.contoso.com/graphrelay\n")
	for _, name := range []string{"secrets/database/url", "secrets/queue-app/uri", "etc/queue.url"} {
		write(name, "postgres://relay:secret@127.0.0.1:1/mail\n")
	}
	write("data/lost+found", "")
	write("run/graphrelay/x", "")
	write("etc/x", "")
	if out, err := exec.Command(binary, "cert", "new", "--out", filepath.Join(root, "etc"), "--days", "300").
		CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(root, "etc", "entra.pem"))
	if err != nil {
		t.Fatal(err)
	}
	write("secrets/graphrelay/entra.pem", string(b))
	write("token", "eyJ.e30.x")
	certificate := filepath.Join(root, "etc", "entra.pem") // the chart's example of smtp.tls has one, too
	config = strings.NewReplacer("/secrets/relay.tls/tls.crt", certificate, "/secrets/relay.tls/tls.key", certificate,
		"/etc/graphrelay/", root+"/etc/", "/secrets/", root+"/secrets/", "sqlite:/data/", "sqlite:"+root+"/data/",
		"unix:/run/", "unix:"+root+"/run/").Replace(config)
	write("config.yaml", config)
	cmd := exec.Command(binary, "check", "-c", filepath.Join(root, "config.yaml"))
	cmd.Env = append(os.Environ(), "AZURE_FEDERATED_TOKEN_FILE="+filepath.Join(root, "token"))
	b, err = cmd.CombinedOutput()
	return string(b), err
}

// What the chart renders, and what the other examples mount, is a configuration that
// graphrelay starts with, once a database of it answers.
func TestConfigurationsAreGood(t *testing.T) {
	binary := program(t)
	configs := map[string]string{}
	for name, values := range cases(t) {
		configs[name] = only[*core.ConfigMap](t, objects(t, rendered(t, values))).Data["config.yaml"]
	}
	b, err := os.ReadFile("../../container/graphrelay/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	configs["container"] = string(b)
	configs["container on PostgreSQL"] = strings.NewReplacer("  store: sqlite", "  # store: sqlite",
		"# store_url_file", "store_url_file", "address: 127.0.0.1:9725", "address: 0.0.0.0:9725").Replace(string(b))
	for name, config := range configs {
		out, err := check(t, binary, config)
		if strings.Contains(config, "\n  store_url_file") || strings.Contains(config, "{store_url_file") {
			if !strings.Contains(out, "\ngraphrelay: PostgreSQL cannot be reached;") || strings.Count(out, "\n") != 2 {
				t.Errorf("%s: %v: not the database alone, which does not answer, is wrong: %s", name, err, out)
			}
		} else if err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
	if out, err := check(t, binary, strings.Replace(configs["container"], "senders:", "sender:", 1)); err == nil {
		t.Errorf("a mistake is not noticed: %s", out)
	}
}
