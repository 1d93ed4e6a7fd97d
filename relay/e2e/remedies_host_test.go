package e2e_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/sandbox"
)

// hostRow is a fault of this host, which a command of the relay shows with its
// remedy. Where follow is nil the remedy is a command, which is run as it is printed.
type hostRow struct {
	shows    string // check, doctor or status
	settings []harness.Setting
	breaks   func(*hosted)
	follow   func(*hosted)
}

// hosted is a relay on this host, and what its rows are about.
type hosted struct {
	*harness.Relay
	t *testing.T
	d *harness.Double
}

// TestEveryRemedyOnThisHost brings each fault about, does what the command that
// shows it says, and wants the same command to show it no more.
func TestEveryRemedyOnThisHost(t *testing.T) {
	for remedy, row := range remediesOnThisHost() {
		t.Run(remedy, func(t *testing.T) {
			t.Parallel()
			d := harness.StartDouble(t)
			h := &hosted{harness.NewRelay(t, d, row.settings...), t, d}
			if row.shows == "status" {
				h.Start()
			}
			row.breaks(h)
			printed := ""
			shown := func() bool { printed = h.printed(row.shows, remedy); return printed != "" }
			if !holdsSlowly(shown) {
				t.Fatalf("%s does not show it:\n%s", row.shows, h.output(row.shows))
			}
			for _, c := range commandsIn(printed) {
				h.sh("graphrelay " + strings.Join(c, " ") + " --help")
			}
			if _, run, ok := strings.Cut(printed, "run: "); ok && row.follow == nil {
				h.sh(run)
			} else {
				row.follow(h)
			}
			if !holdsSlowly(func() bool { return h.printed(row.shows, remedy) == "" }) {
				t.Errorf("%s still shows it:\n%s", row.shows, h.output(row.shows))
			}
		})
	}
}

// holdsSlowly is harness.Holds for a fact that takes a program to find out.
func holdsSlowly(fact func() bool) bool {
	tries := 0
	return harness.Holds(patience, func() bool {
		tries++
		return tries%40 == 1 && fact()
	})
}

func (h *hosted) output(command string) string {
	out, _ := h.Run(command)
	return out
}

// printed is the remedy as a command of the relay prints it; empty if it does not.
func (h *hosted) printed(command, remedy string) string {
	for line := range strings.Lines(h.output(command)) {
		if i, ok := find(line, remedy); ok {
			return strings.TrimSpace(line[i:])
		}
	}
	return ""
}

// find finds a text of the source, with "…" for what differs, and where it begins.
func find(line, text string) (at int, ok bool) {
	rest := line
	for i, piece := range strings.Split(text, "…") {
		j := strings.Index(rest, piece)
		if j < 0 {
			return 0, false
		}
		if i == 0 {
			at = j
		}
		rest = rest[j+len(piece):]
	}
	return at, true
}

// sh runs what a remedy says, where graphrelay is the program under test with the
// configuration of this relay.
func (h *hosted) sh(line string) {
	h.t.Helper()
	bin := filepath.Join(h.Dir, "bin")
	script := "#!/bin/sh\nexec " + harness.Binary(h.t) + ` "$@" -c ` + h.Config + "\n"
	if err := os.MkdirAll(bin, 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "graphrelay"), []byte(script), 0o700); err != nil {
		h.t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", line)
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		h.t.Errorf("%s: %v: %s", line, err, out)
	}
}

func (h *hosted) path(name string) string { return filepath.Join(h.Dir, name) }

func (h *hosted) edit(old, new string) {
	h.t.Helper()
	text := readFile(h.t, h.Config)
	if !strings.Contains(text, old) {
		h.t.Fatalf("no %q in\n%s", old, text)
	}
	harness.WriteFile(h.t, h.Config, strings.Replace(text, old, new, 1))
}

func (h *hosted) send() {
	c := harness.Hello(h.t, h.Addr)
	defer c.Close()
	c.Want(c.Send(harness.Sender, []string{anyone}, plain("remedy")), 250)
}

func (h *hosted) does(f func() error) {
	h.t.Helper()
	if err := f(); err != nil {
		h.t.Fatal(err)
	}
}

// writes is a change of one file in the relay's folder.
func writes(name, text string) func(*hosted) {
	return func(h *hosted) { harness.WriteFile(h.t, h.path(name), text) }
}

func remediesOnThisHost() map[string]hostRow {
	all := map[string]hostRow{}
	for _, some := range []map[string]hostRow{remediesOfCheck(), remediesOfDoctor(), remediesOfStatus()} {
		for text, row := range some {
			all[text] = row
		}
	}
	return all
}

func remediesOfCheck() map[string]hostRow {
	secret := func(h *hosted) { harness.WriteFile(h.t, h.path("secret.txt"), h.d.Secret()) }
	mode := func(name string, mode os.FileMode) func(*hosted) {
		return func(h *hosted) { h.does(func() error { return os.Chmod(h.path(name), mode) }) }
	}
	var other net.Listener
	return map[string]hostRow{
		"create …, or correct the path, or the permissions of its folder": {"check", nil,
			func(h *hosted) { h.does(func() error { return os.Remove(h.path("secret.txt")) }) }, secret},
		"write the path of a file": {"check", nil, func(h *hosted) {
			h.sh("true")
			h.edit("secret.txt", "bin")
		},
			func(h *hosted) { h.edit(h.path("bin"), h.path("secret.txt")) }},
		"write its content to …": {"check", nil, writes("secret.txt", ""), secret},
		"run: chmod 640 …": {"check", nil, func(h *hosted) {
			writes("queue.db", "x")(h)
			mode("queue.db", 0o660)(h)
		}, nil},
		"run: chmod o= …":  {"check", nil, mode("secret.txt", 0o604), nil},
		"run: chmod 750 …": {"check", nil, mode(".", 0o777), nil},
		"write another path, or move … away": {"check", nil,
			func(h *hosted) { h.edit("queue.db", "secret.txt/queue.db") },
			func(h *hosted) { h.edit("secret.txt/queue.db", "queue.db") }},
		"stop that program (ss -ltnp shows it), or write another port": {"check", nil, func(h *hosted) {
			var err error
			if other, err = net.Listen("tcp", h.Addr); err != nil {
				h.t.Fatal(err)
			}
		}, func(h *hosted) { h.does(other.Close) }},
		"write an address that this host has": {"check",
			[]harness.Setting{harness.With("top", "clients: [{name: far, networks: [10.1.2.0/24]}]")},
			func(h *hosted) { h.edit(h.Addr, "192.0.2.1:2525") },
			func(h *hosted) { h.edit("192.0.2.1:2525", h.Addr) }},
	}
}

func remediesOfDoctor() map[string]hostRow {
	aside := func(h *hosted) { h.sh("cp " + h.Store + " " + h.path("safe") + " && rm " + h.Store + "*") }
	return map[string]hostRow{
		"start it (systemctl start graphrelay), or run this as root or as a member of the group graphrelay": {"doctor",
			nil, func(*hosted) {}, func(h *hosted) { h.Start() }},
		"see graphrelay check": {"doctor", nil, writes("secret.txt", "two words\n"), func(h *hosted) {
			if out := h.output("check"); !strings.Contains(out, "put the Value of the client secret") {
				h.t.Errorf("check: %s", out)
			}
			writes("secret.txt", h.d.Secret())(h)
		}},
		"add a listener on an address of this host that this network can reach, such as 0.0.0.0:25": {"doctor",
			[]harness.Setting{harness.With("top", "clients: [{name: far, networks: [10.1.2.0/24]}]")}, func(*hosted) {},
			func(h *hosted) {
				h.edit("- address: "+h.Addr, "- address: 0.0.0.0"+h.Addr[strings.Index(h.Addr, ":"):])
			}},
		"free space, or lower queue.min_free_space": {"doctor",
			[]harness.Setting{harness.With("queue", "min_free_space: 1024GiB")}, func(*hosted) {},
			func(h *hosted) { h.edit("1024GiB", "1MiB") }},
		"see the service's log; copy the file to a safe place before anything else": {"doctor", nil,
			writes("queue.db", strings.Repeat("no database ", 1000)), aside},
		"copy the file to a safe place before anything else; to accept mail again soon, start with a new store": {
			"doctor", nil, func(h *hosted) {
				h.Start()
				h.send()
				h.d.WaitFor(h.t, 1, patience)
				if err := h.Stop(patience); err != nil {
					h.t.Fatal(err)
				}
				damage(h.t, h.Store)
			}, aside},
	}
}

// certificate gives the listeners a certificate, in one step as a program does that
// renews it.
func (h *hosted) certificate(valid time.Duration) {
	h.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		h.t.Fatal(err)
	}
	certificate, key := certificateFor(h.t, private, valid)
	h.does(func() error { return os.Rename(key, h.path("tls.key")) })
	h.does(func() error { return os.Rename(certificate, h.path("tls.crt")) })
}

func (h *hosted) restart() {
	h.t.Helper()
	if err := h.Stop(patience); err != nil {
		h.t.Fatal(err)
	}
	h.Start()
}

// damage writes over the last page of a database that holds rows, and not the tables' own.
func damage(t *testing.T, store string) {
	t.Helper()
	const size = 4096
	pages, err := os.ReadFile(store)
	if err != nil {
		t.Fatal(err)
	}
	at := len(pages) - size
	for at > 0 && (pages[at] != 0x0d && pages[at] != 0x0a || bytes.Contains(pages[at:at+size], []byte("CREATE "))) {
		at -= size
	}
	copy(pages[at:], strings.Repeat("damage! ", size/8))
	if err := os.WriteFile(store, pages, 0o640); err != nil || at <= 0 {
		t.Fatal(err, at)
	}
}

func remediesOfStatus() map[string]hostRow {
	held := func(h *hosted) {
		h.does(func() error { return h.d.Inject(sandbox.Fault{Endpoint: "sendMail", Status: 503}) })
		h.send()
		harness.Until(h.t, patience, "an attempt", func() bool {
			list := h.Queue()
			return len(list) == 1 && list[0].Attempts > 0
		})
	}
	return map[string]hostRow{
		"get the next one from its issuer and replace smtp.tls.certificate_file: it is loaded automatically": {"status",
			nil, func(h *hosted) {
				h.certificate(aDay)
				h.edit("smtp:", "smtp:\n  tls: {certificate_file: tls.crt, key_file: tls.key}")
				h.restart()
			}, func(h *hosted) { h.certificate(2400 * time.Hour) }},
		"correct the file of …; if it is its mode: chgrp graphrelay FILE && chmod 640 FILE": {"status", nil,
			writes("secret.txt", "two words"), func(h *hosted) { writes("secret.txt", h.d.Secret()+"\n")(h) }},
		"see why with graphrelay queue list --state held, then retry, release or delete": {"status", nil,
			func(h *hosted) { held(h); h.sh("graphrelay queue hold --all") },
			func(h *hosted) {
				h.sh("graphrelay queue list --state held")
				h.d.ClearFaults()
				h.sh("graphrelay queue release " + h.Queue()[0].QueueID)
			}},
		"check the disk, then try them again: graphrelay queue retry --state damaged; " +
			"restore or delete the rest": {"status", nil,
			func(h *hosted) {
				held(h)
				inStore(h.t, h.Store, "CREATE TABLE intact AS SELECT * FROM chunk",
					"UPDATE chunk SET data = zeroblob(length(data))")
				h.d.ClearFaults()
				h.sh("graphrelay queue retry --all")
				harness.Until(h.t, 5*time.Minute, "the word damaged", func() bool {
					time.Sleep(time.Second)
					list := h.Queue()
					return len(list) == 1 && list[0].State == "damaged"
				})
			}, func(h *hosted) {
				inStore(h.t, h.Store, "UPDATE chunk SET (crc, data) = (SELECT crc, data FROM intact)")
				h.sh("graphrelay queue retry --state damaged")
				h.d.WaitFor(h.t, 1, patience)
			}},
		"check the disk; send again what list.txt in … names, then move the folder away": {"status", nil,
			func(h *hosted) {
				held(h)
				info, err := os.Stat(h.Store + "-wal")
				h.does(func() error { return err })
				for range 4 {
					h.send()
				}
				h.Kill()
				log := []byte(readFile(h.t, h.Store+"-wal"))
				log[info.Size()+200] ^= 1 // in a page of the first commit after that
				harness.WriteFile(h.t, h.Store+"-wal", string(log))
				h.Start()
			}, func(h *hosted) {
				folders, _ := filepath.Glob(h.Store + ".damaged-*")
				if len(folders) != 1 {
					h.t.Fatalf("folders: %q", folders)
				}
				lost, _ := filepath.Glob(folders[0] + "/*.eml")
				if list := readFile(h.t, folders[0]+"/list.txt"); len(lost) == 0 || len(h.Queue())+len(lost) < 5 {
					h.t.Errorf("%d in the queue, saved %q, listed:\n%s", len(h.Queue()), lost, list)
				}
				h.does(func() error { return os.Rename(folders[0], h.path("away")) })
			}},
		"restart the service: systemctl restart graphrelay": {"status", nil,
			func(h *hosted) { held(h); h.does(func() error { return os.Remove(h.Store + ".lock") }) },
			func(h *hosted) { h.restart(); h.d.ClearFaults() }},
		"to keep what it held, run: mv -f … … && rm -f …-wal …-shm; " +
			"then restart the service: systemctl restart graphrelay": {"status", nil,
			func(h *hosted) { held(h); h.does(func() error { return os.Remove(h.Store) }) },
			func(h *hosted) {
				_, run, _ := strings.Cut(h.printed("status", "run: mv -f … … && rm -f …-wal …-shm"), "run: ")
				command, _, _ := strings.Cut(run, ";")
				h.sh(command)
				h.restart()
				if len(h.Queue()) != 1 {
					h.t.Errorf("kept: %+v", h.Queue())
				}
			}},
		"…see graphrelay queue list; stop a flood with graphrelay queue hold or queue delete, " +
			"by --client and --subject": {"status",
			[]harness.Setting{harness.With("top", "alerts: {queue_messages: 1}")},
			func(h *hosted) { held(h); h.send() },
			func(h *hosted) {
				h.sh("graphrelay queue list")
				h.sh("graphrelay queue delete --yes --client local --subject remedy")
			}},
		"see why they are not sent (graphrelay status), or raise queue.max_messages": {"status",
			[]harness.Setting{harness.With("queue", "max_messages: 1")}, func(h *hosted) {
				held(h)
				c := harness.Hello(h.t, h.Addr)
				defer c.Close()
				c.Want(c.Say("MAIL FROM:<"+harness.Sender+">"), 452)
			}, func(h *hosted) {
				h.edit("max_messages: 1", "max_messages: 100")
				h.restart()
			}},
		"free space on the disk of queue.store, or lower queue.min_free_space": {"status",
			[]harness.Setting{harness.With("queue", "min_free_space: 1024GiB")}, func(*hosted) {},
			func(h *hosted) {
				h.edit("1024GiB", "1MiB")
				h.restart()
			}},
	}
}
