//go:build system

package system

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/foreign"
	"graphrelay/relay/e2e/harness"
)

// grace is the time that packaging/doc/container.md asks for between SIGTERM and SIGKILL.
const grace = 90 * time.Second

// container runs the image by Podman, as the manual says.
type container struct {
	t      *testing.T
	dir    string // of Podman's store, the volume and the mounted files
	image  string
	relay  *harness.Relay // says what is in the configuration
	mounts int            // configurations so far
}

func TestImage(t *testing.T) {
	t.Parallel()
	foreign.NeedRoot(t, "a container is run")
	foreign.Need(t, "podman", "runc")
	// The double is out of reach until a message has outlived its container.
	d := harness.NewDouble(t)
	c := &container{t: t, dir: t.TempDir(), relay: harness.NewRelay(t, d)}
	c.load(one(t, packer(t)("v1.0.0", "image"), "*.oci.tar"))
	c.configure("first.example")
	c.start()
	c.confined()
	c.accepts("first.example")
	c.podman("kill", "--signal", "KILL", "relay")
	c.podman("wait", "relay")
	c.podman("start", "relay")
	c.greets("first.example")
	d.Listen(t)
	d.WaitFor(t, 1, patience)
	if status := c.podman("exec", "relay", "graphrelay", "status"); !strings.Contains(status, "OK: mail flows") {
		t.Errorf("in the container graphrelay status says\n%s", status)
	}
	c.configure("second.example")
	c.greets("second.example")
	c.accepts("second.example")
	d.WaitFor(t, 2, patience)
	c.stops()
}

// podman runs a command of Podman, with a store of its own.
func (c *container) podman(args ...string) string {
	c.t.Helper()
	command := []string{"sh", "-c", `exec 2>&1 "$@"`, "sh", "podman", "--root", filepath.Join(c.dir, "root"),
		"--runroot", filepath.Join(c.dir, "run"), "--storage-driver", "vfs",
		"--cgroup-manager", "cgroupfs", "--runtime", "runc"}
	return host(c.t, append(command, args...)...)
}

// load loads the file of the image. What Podman stores can only be removed by Podman.
func (c *container) load(file string) {
	c.t.Helper()
	c.t.Cleanup(func() { c.podman("system", "reset", "--force") })
	loaded := regexp.MustCompile(`Loaded image.*: (\S+:1\.0\.0)`).FindStringSubmatch(c.podman("load", "--input", file))
	if loaded == nil {
		c.t.Fatal("the image has no name")
	}
	c.image = loaded[1]
}

// configure mounts a configuration as Kubernetes does: the files are symbolic links
// into a folder that is a link itself, and is replaced as a whole.
func (c *container) configure(name string) {
	c.t.Helper()
	config, secrets := filepath.Join(c.dir, "config"), filepath.Join(c.dir, "secrets")
	b, err := os.ReadFile(c.relay.Config)
	if err != nil {
		c.t.Fatal(err)
	}
	text := strings.NewReplacer("hostname: relay.contoso.local", "hostname: "+name,
		"sqlite:"+c.relay.Store, "sqlite:/data/queue.db", "unix:"+c.relay.Socket, "unix:/data/admin.sock",
		c.relay.Dir+"/", "/run/secrets/").Replace(string(b)) + "log: {format: json}\n"
	c.mounts++
	version := "..version_" + strconv.Itoa(c.mounts)
	host(c.t, "mkdir", "-p", filepath.Join(config, version), secrets, filepath.Join(c.dir, "data"))
	harness.WriteFile(c.t, filepath.Join(config, version, "config.yaml"), text)
	if c.mounts == 1 {
		for _, f := range []string{"ca.pem", "secret.txt"} {
			b, err := os.ReadFile(filepath.Join(c.relay.Dir, f))
			if err != nil {
				c.t.Fatal(err)
			}
			harness.WriteFile(c.t, filepath.Join(secrets, f), string(b))
		}
		host(c.t, "ln", "-s", "..data/config.yaml", filepath.Join(config, "config.yaml"))
		host(c.t, "chown", "-R", "65532:65532", config, secrets, filepath.Join(c.dir, "data"))
	}
	host(c.t, "chown", "-R", "65532:65532", filepath.Join(config, version))
	host(c.t, "ln", "-s", version, filepath.Join(config, "..new"))
	if err := os.Rename(filepath.Join(config, "..new"), filepath.Join(config, "..data")); err != nil {
		c.t.Fatal(err)
	}
}

// start runs the container and waits until it takes mail. The limits are named, for
// Podman's own are higher than what this host may allow.
func (c *container) start() {
	c.t.Helper()
	c.podman("run", "--detach", "--name", "relay", "--read-only", "--cap-drop", "all", "--security-opt",
		"no-new-privileges", "--network", "host", "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096",
		"--env", "TZ=Asia/Tokyo",
		"--volume", filepath.Join(c.dir, "data")+":/data",
		"--volume", filepath.Join(c.dir, "config")+":/etc/graphrelay:ro",
		"--volume", filepath.Join(c.dir, "secrets")+":/run/secrets:ro", c.image)
	c.greets("first.example")
}

// greets waits until the relay greets with a name.
func (c *container) greets(name string) {
	c.t.Helper()
	if !harness.Holds(patience, func() bool { return strings.Contains(greetingAt(c.relay.Addr), name) }) {
		c.t.Fatalf("the relay does not greet as %s\n%s", name, c.podman("logs", "relay"))
	}
}

// accepts hands over a message from a name.
func (c *container) accepts(name string) {
	c.t.Helper()
	conn := harness.Hello(c.t, c.relay.Addr)
	defer conn.Close()
	r := conn.Send(harness.Sender, []string{"you@example.org"}, harness.CRLF("From: "+harness.Sender+
		"\nTo: you@example.org\nSubject: at "+name+"\n\nx\n"))
	conn.Want(r, 250)
}

// confined looks at what the kernel lets the process do.
func (c *container) confined() {
	c.t.Helper()
	proc := "/proc/" + strings.TrimSpace(c.podman("inspect", "--format", "{{.State.Pid}}", "relay"))
	status, errStatus := os.ReadFile(proc + "/status")
	mounts, errMounts := os.ReadFile(proc + "/mounts")
	if errStatus != nil || errMounts != nil {
		c.t.Fatal(errStatus, errMounts)
	}
	for _, want := range []string{`(?m)^Uid:\s+65532\s`, `(?m)^Gid:\s+65532\s`, `(?m)^CapEff:\s+0+$`,
		`(?m)^CapBnd:\s+0+$`, `(?m)^NoNewPrivs:\s+1$`} {
		if !regexp.MustCompile(want).Match(status) {
			c.t.Errorf("no %s in\n%s", want, status)
		}
	}
	if !regexp.MustCompile(`(?m)^\S+ / \S+ ro[, ]`).Match(mounts) {
		c.t.Errorf("the root is not read-only:\n%s", mounts)
	}
}

// stops ends the container, and reads its log.
func (c *container) stops() {
	c.t.Helper()
	begin := time.Now()
	c.podman("stop", "--time", "90", "relay")
	if code := strings.TrimSpace(c.podman("inspect", "--format", "{{.State.ExitCode}}", "relay")); code != "0" {
		c.t.Errorf("after SIGTERM the exit code is %s after %v of %v", code, time.Since(begin), grace)
	}
	said := map[string]bool{}
	for line := range strings.Lines(c.podman("logs", "relay")) {
		var event struct{ Time, Msg string }
		if err := json.Unmarshal([]byte(line), &event); err != nil || !strings.HasSuffix(event.Time, "+09:00") {
			c.t.Errorf("no JSON with the time of Tokyo: %s", line)
		}
		said[event.Msg] = true
	}
	if !said["ready"] || !said["accepted"] || !said["stopped"] {
		c.t.Errorf("the log says %v", said)
	}
}

// greetingAt is the first line at an address of this host; "" where nobody greets.
func greetingAt(addr string) string {
	nc, err := net.DialTimeout("tcp", addr, patience)
	if err == nil {
		err = nc.SetDeadline(time.Now().Add(patience))
	}
	if err != nil {
		return ""
	}
	defer nc.Close()
	return firstLine(nc)
}
