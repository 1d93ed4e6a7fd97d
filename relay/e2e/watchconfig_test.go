package e2e_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/e2e/harness"
)

// mount is a folder as the kubelet mounts a ConfigMap: the files are links into
// ..data, a link to the folder of the present version.
type mount struct {
	dir     string
	version int
}

// put replaces all files at once.
func (m *mount) put(t *testing.T, files map[string]string) {
	t.Helper()
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	m.version++
	version := "..version" + strings.Repeat("i", m.version)
	do(os.MkdirAll(filepath.Join(m.dir, version), 0o700))
	for name, text := range files {
		harness.WriteFile(t, filepath.Join(m.dir, version, name), text)
		if link := filepath.Join(m.dir, name); m.version == 1 {
			do(os.Symlink(filepath.Join("..data", name), link))
		}
	}
	do(os.Symlink(version, filepath.Join(m.dir, "..tmp")))
	do(os.Rename(filepath.Join(m.dir, "..tmp"), filepath.Join(m.dir, "..data")))
}

// watching is a relay whose configuration is mounted and watched, and the text of that
// configuration.
func watching(t *testing.T, settings ...harness.Setting) (r *harness.Relay, m *mount, text string) {
	t.Helper()
	t.Parallel()
	r = harness.NewRelay(t, harness.StartDouble(t), append(settings, harness.WatchConfig())...)
	b, err := os.ReadFile(r.Config)
	if err != nil {
		t.Fatal(err)
	}
	m = &mount{dir: filepath.Join(r.Dir, "etc")}
	r.Config = filepath.Join(m.dir, "config.yaml")
	m.put(t, map[string]string{"config.yaml": string(b)})
	r.Start()
	return r, m, string(b)
}

// awaitRefused waits until the configuration is refused, or is no longer.
func awaitRefused(t *testing.T, r *harness.Relay, want bool) {
	t.Helper()
	harness.Until(t, patience, fmt.Sprintf("refused: %v", want), func() bool {
		var s struct {
			Reload struct{ Failed bool } `json:"last_reload"`
		}
		return r.Status(&s) && s.Reload.Failed == want
	})
}

func greets(t *testing.T, r *harness.Relay, name string) {
	t.Helper()
	harness.Until(t, patience, "the name "+name, func() bool {
		return strings.HasPrefix(greeting(t, r.Addr), "220 "+name+" ")
	})
}

func renamed(text, name string) string {
	return strings.Replace(text, "hostname: relay.contoso.local", "hostname: "+name, 1)
}

// A ConfigMap that changes is put in force; one that is refused changes nothing, is
// logged, shown and alerted, and it is over when the file is right again.
func TestAWatchedConfigurationIsTakenFromAConfigMap(t *testing.T) {
	hook, heard := notices(t)
	url := filepath.Join(t.TempDir(), "hook.url")
	harness.WriteFile(t, url, hook+"\n")
	r, m, text := watching(t, harness.With("top", "alerts: {webhook_url_file: "+url+"}"))
	m.put(t, map[string]string{"config.yaml": renamed(text, "second.contoso.local")})
	greets(t, r, "second.contoso.local")

	m.put(t, map[string]string{"config.yaml": strings.Replace(text, "hostname:", "hostnam:", 1)})
	expect(t, r, heard, "configuration firing")
	asking := *r
	asking.Config = filepath.Join(r.Dir, "config.yaml") // a good one, which names the same service
	if out, err := asking.Run("status"); err != nil || !strings.Contains(out, "The new configuration is refused") ||
		!strings.Contains(out, "config.yaml:1") {
		t.Errorf("status: %v: %s", err, out)
	}
	if log := r.Output(); !strings.Contains(log, "cannot reload the configuration; the previous one stays in force") {
		t.Errorf("log:\n%s", log)
	}
	greets(t, r, "second.contoso.local")

	m.put(t, map[string]string{"config.yaml": renamed(text, "third.contoso.local")})
	greets(t, r, "third.contoso.local")
	expect(t, r, heard, "configuration resolved")
	if out, err := r.Run("status"); err != nil || strings.Contains(out, "configuration is refused") {
		t.Errorf("status: %v: %s", err, out)
	}
}

// A file that is half-written, or missing, is refused at worst, and put in force once
// it is whole.
func TestAWatchedConfigurationIsWrittenInSteps(t *testing.T) {
	r, m, text := watching(t)
	path := filepath.Join(m.dir, "plain.yaml")
	harness.WriteFile(t, path, text)
	if err := os.Rename(path, r.Config); err != nil { // which was a link
		t.Fatal(err)
	}
	second := renamed(text, "second.contoso.local")
	half := strings.Index(second, "smtp:") + len("smt")
	harness.WriteFile(t, r.Config, second[:half])
	awaitRefused(t, r, true)
	greets(t, r, "relay.contoso.local")
	f, err := os.OpenFile(r.Config, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(second[half:]); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	greets(t, r, "second.contoso.local")
	awaitRefused(t, r, false)

	if err := os.Remove(r.Config); err != nil {
		t.Fatal(err)
	}
	harness.WriteFile(t, r.Config, renamed(text, "third.contoso.local"))
	greets(t, r, "third.contoso.local")
	if err := os.Remove(r.Config); err != nil {
		t.Fatal(err)
	}
	awaitRefused(t, r, true)
	greets(t, r, "third.contoso.local")
	harness.WriteFile(t, r.Config, text)
	greets(t, r, "relay.contoso.local")
	awaitRefused(t, r, false)
}

// What a refused configuration wants may come after it, and without it changing.
func TestARefusedWatchedConfigurationIsTriedAgain(t *testing.T) {
	r, m, text := watching(t)
	busy, err := net.Listen("tcp", harness.FreeAddr(t))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	m.put(t, map[string]string{"config.yaml": strings.Replace(renamed(text, "second.contoso.local"), "    - address: "+
		r.Addr, "    - address: "+r.Addr+"\n    - address: "+busy.Addr().String(), 1)})
	harness.Until(t, patience, "the refusal", func() bool {
		return strings.Contains(r.Output(), "another program listens")
	})
	busy.Close() // before a second try, and one of those that follow
	greets(t, r, "second.contoso.local")
}
