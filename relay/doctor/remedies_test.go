package doctor

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/procfs"

	"graphrelay/config"
)

// listening is a program that listens on a port of this host until it is stopped.
func listening(t *testing.T) (address string, port uint16, stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String(), l.Addr().(*net.TCPAddr).AddrPort().Port(), func() { _ = l.Close() }
}

// remedies are those of what a look finds wrong.
func remedies(look func(*examiner), c *config.Config) (all string) {
	look(&examiner{c: c, report: func(s Symptom) { all += s.Remedy + "\n" }})
	return all
}

func listener(address string) string { return "smtp: {listeners: [{address: '" + address + "'}]}\n" }

// A program that has the port is stopped, or another port is chosen, or it is to have
// it: each ends what is said about it.
func TestAPortIsGivenUpOrAnotherOneChosen(t *testing.T) {
	const other = "127.0.0.1:2525"
	for _, stops := range []bool{true, false} {
		address, port, stop := listening(t)
		wanting := configured(t, listener(address))
		of := func(running bool) func(*examiner) {
			return func(d *examiner) {
				holders, taken := whoHas(procfs.DefaultMountPoint, port)
				d.running = running
				d.port(port, holders, taken)
			}
		}
		if got := remedies(of(false), wanting); !strings.Contains(got, ", or choose another port in smtp.listeners") ||
			!strings.HasPrefix(got, "stop ") {
			t.Fatalf("%q", got)
		}
		if got := remedies(of(true), wanting); !strings.Contains(got, "check that ") {
			t.Fatalf("%q", got)
		}
		if stops {
			stop()
			if got := remedies(of(false), wanting) + remedies(of(true), wanting); got != "\n\n" {
				t.Errorf("it is stopped: %q", got)
			}
			continue
		}
		mine := ", or choose another port"
		if got := remedies((*examiner).ports, configured(t, listener(other))); strings.Contains(got, mine) {
			t.Errorf("another port is chosen: %q", got)
		}
	}
}

// The same of check, which asks as root who has a port.
func TestAProgramIsStoppedOrAnotherPortWritten(t *testing.T) {
	address, _, stop := listening(t)
	free, _, stopFree := listening(t)
	stopFree()
	wrong, remedy := taken(address, false)
	if root := os.Geteuid() == 0; root != strings.Contains(wrong, "is in use by "+comm(t)) ||
		root != strings.HasSuffix(remedy, "or write another port") {
		t.Fatalf("%q, %q", wrong, remedy)
	}
	if wrong, remedy := taken(free, false); wrong+remedy != "" {
		t.Errorf("another port is written: %s; %s", wrong, remedy)
	}
	stop()
	if wrong, remedy := taken(address, false); wrong+remedy != "" {
		t.Errorf("it is stopped: %s; %s", wrong, remedy)
	}
}

// comm is the name of this program, as the kernel cuts it.
func comm(t *testing.T) string {
	t.Helper()
	name, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(name))
}

// Root sees the open files of every program, and so who has the port.
func TestRootSeesWhoHasAPort(t *testing.T) {
	dir := t.TempDir()
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	write(t, filepath.Join(dir, "net/tcp"), head+"   0: 0100007F:09DD 00000000:0000 0A 00000000:00000000 00:00000000 "+
		"00000000     0        0 4713 1 0 100 0 0 10 0\n")
	write(t, filepath.Join(dir, "7/comm"), "master\n")
	look := func(d *examiner) {
		holders, taken := whoHas(dir, 2525)
		d.port(2525, holders, taken)
	}
	c := configured(t, listener("127.0.0.1:25"))
	const asRoot = "run this as root, or run: ss -ltnp\n"
	if got := remedies(look, c); got != asRoot {
		t.Errorf("%q", got)
	}
	fd := filepath.Join(dir, "7/fd")
	if err := errors.Join(os.Mkdir(fd, 0o700), os.Symlink("socket:[4713]", filepath.Join(fd, "3"))); err != nil {
		t.Fatal(err)
	}
	if got := remedies(look, c); got == asRoot || !strings.Contains(got, "master") {
		t.Errorf("as root: %q", got)
	}
}

// What check says of a listener that a socket unit is to open is done in the
// configuration or in a unit, and not said again.
func TestRemediesOfListenersAreFollowed(t *testing.T) {
	const asked = "\nFileDescriptorName=other\nId=other.socket\nTriggers=graphrelay.service\nActiveState=active\n"
	enabled := unit{"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active"}
	for _, row := range []struct {
		remedy, at, shown    string
		u                    unit
		followed, afterwards string // the listener, and the units
	}{
		{"write IP:PORT, as in 127.0.0.1:2525", "systemd:smtp", "", nil, "127.0.0.1:2525", ""},
		{"install the package, or a socket unit with FileDescriptorName=other and Service=graphrelay.service",
			"systemd:other", "", enabled, "systemd:other", asked},
		{"install the package, or a socket unit with FileDescriptorName=smtp and Service=graphrelay.service",
			"systemd:smtp", "", enabled, "systemd:smtp", shownSockets},
		{"or write systemd:smtp", "127.0.0.1:2525", shownSockets, enabled, "systemd:smtp", shownSockets},
	} {
		said := func(at, shown string) string {
			h := Host{}
			j := &portJudge{c: configured(t, listener(at)), u: row.u, host: &h, taken: nobody}
			j.units = parseSockets(shown)
			j.all()
			return fmt.Sprint(h.Found, h.Warnings)
		}
		if got := said(row.at, row.shown); !strings.Contains(got, row.remedy) {
			t.Errorf("%q is not said: %s", row.remedy, got)
		}
		if got := said(row.followed, row.afterwards); got != "[] []" {
			t.Errorf("after %q: %s", row.remedy, got)
		}
	}
}

// The package's unit is one that the doctor has nothing to say about.
func TestThePackagesUnitEndsWhatIsSaidOfAnother(t *testing.T) {
	text, err := os.ReadFile("../../systemd/graphrelay.service")
	if err != nil {
		t.Fatal(err)
	}
	packaged := parseUnit(string(text))
	packaged["LoadState"], packaged["ActiveState"], packaged["UnitFileState"] = "loaded", "active", "enabled"
	with := func(changed map[string]string) map[string]string {
		u := map[string]string{"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
		u["User"] = "relay"
		for name, value := range changed {
			u[name] = value
		}
		return u
	}
	for remedy, u := range map[string]map[string]string{
		"install the package, or systemd/graphrelay.service":  {"LoadState": "not-found"},
		"use the package's unit, which runs it as graphrelay": with(map[string]string{"User": "root"}),
		"use the package's unit; systemd-analyze security graphrelay shows what is open": with(
			map[string]string{"NoNewPrivileges": "no"}),
	} {
		if got := remedies(func(d *examiner) { d.unitState(u) }, nil); got != remedy+"\n" {
			t.Errorf("%q, want %q", got, remedy)
		}
	}
	if got := remedies(func(d *examiner) { d.unitState(packaged) }, nil); got != "\n" {
		t.Errorf("the package's unit: %q", got)
	}
}

// The command that is printed creates the folder of the store.
func TestTheFolderOfTheStoreIsCreated(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "queue")
	c := configured(t, "queue: {store: 'sqlite:"+filepath.Join(dir, "queue.db")+"', min_free_space: 1}\n")
	got := remedies((*examiner).disk, c)
	_, run, found := strings.Cut(got, "if it does not exist, create it: install -d -o graphrelay -g graphrelay ")
	command, _, ends := strings.Cut(run, "; else run this as root")
	if !found || !ends {
		t.Fatalf("%q", got)
	}
	ids := fmt.Sprintf("install -d -o %d -g %d ", os.Getuid(), os.Getgid())
	if out, err := exec.Command("sh", "-c", ids+command).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := remedies((*examiner).disk, c); got != "\n" {
		t.Errorf("the folder is there: %q", got)
	}
}

// What the configuration of an identity has wrong is corrected in it.
func TestTheConfigurationOfAWayIsCorrected(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	file := filepath.Join(t.TempDir(), "proxy")
	write(t, file, "no proxy at all")
	id := withIDs(config.Identity{ProxyFile: config.Path(file)})
	look := func(d *examiner) { d.reach(t.Context(), id) }
	if got := remedies(look, nil); got != "correct the configuration\n" {
		t.Errorf("%q", got)
	}
	write(t, file, server.URL)
	if got := remedies(look, nil); slices.Contains(strings.Split(got, "\n"), "correct the configuration") {
		t.Errorf("after that: %q", got)
	}
}
