package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/prometheus/procfs"

	"graphrelay/config"
	"graphrelay/config/strict"
	"graphrelay/relay/socket"
)

// socketUnit is a unit of systemd that opens sockets for the service.
type socketUnit struct {
	ID              string // such as graphrelay-smtp.socket
	Name            string // FileDescriptorName=
	Addresses       []string
	Enabled, Active bool
}

// socketUnits asks systemd for those of the service.
func socketUnits(ctx context.Context) []socketUnit {
	out, err := exec.CommandContext(ctx, "systemctl", "list-unit-files", "--type=socket", "--plain", "--no-legend",
		"--no-pager").Output()
	if err != nil {
		return nil
	}
	args := []string{"show", "--property=Id,FileDescriptorName,Listen,UnitFileState,ActiveState,Triggers"}
	for line := range strings.Lines(string(out)) {
		if words := strings.Fields(line); len(words) > 0 && !strings.Contains(words[0], "@.") {
			args = append(args, words[0])
		}
	}
	if out, err = exec.CommandContext(ctx, "systemctl", args...).Output(); err != nil {
		return nil
	}
	return parseSockets(string(out))
}

// parseSockets reads what systemctl show prints, a paragraph for each unit, and
// keeps the units of the service.
func parseSockets(out string) (list []socketUnit) {
	for paragraph := range strings.SplitSeq(out, "\n\n") {
		var s socketUnit
		ours := false
		for line := range strings.Lines(paragraph) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch name {
			case "Id":
				s.ID = value
			case "FileDescriptorName":
				s.Name = value
			case "Listen":
				address, _, _ := strings.Cut(value, " ")
				s.Addresses = append(s.Addresses, address)
			case "UnitFileState":
				s.Enabled = value == "enabled" || value == "enabled-runtime"
			case "ActiveState":
				s.Active = value == "active"
			case "Triggers":
				ours = slices.Contains(strings.Fields(value), serviceUnit)
			}
		}
		if ours {
			list = append(list, s)
		}
	}
	return list
}

// portJudge says who opens each port of the configuration, and who else has it.
type portJudge struct {
	c     *config.Config
	u     unit
	units []socketUnit
	host  *Host
	taken func(address string) (wrong, remedy string) // by another program
	used  []string                                    // units that the configuration needs
}

func judgePorts(ctx context.Context, c *config.Config, u unit, h *Host) {
	running := config.Answers(c.Admin.Address)
	j := &portJudge{c: c, u: u, host: h, taken: func(at string) (string, string) { return taken(at, running) }}
	if u != nil {
		j.units = socketUnits(ctx)
	}
	j.all()
}

func (j *portJudge) all() {
	c := j.c
	for i, l := range c.SMTP.Listeners {
		key := strict.Entry("smtp.listeners", i, "address")
		switch l.Address.Network {
		case "systemd":
			j.named(key, l.Address.Address)
		case "tcp":
			j.address(key, l.Address.Address, true)
		}
	}
	if w := c.Console; w != nil && w.Address.Network == "tcp" {
		j.address("console.address", w.Address.Address, false)
	}
	if m := c.Metrics; m != nil && m.Address.Network == "tcp" {
		j.address("metrics.address", m.Address.Address, false)
	}
	j.rest()
}

func (j *portJudge) fail(key, wrong, remedy string) {
	j.host.Found = append(j.host.Found, j.c.Problem(key, wrong, remedy))
}

// named judges systemd:NAME.
func (j *portJudge) named(key, name string) {
	found := slices.DeleteFunc(slices.Clone(j.units), func(s socketUnit) bool { return s.Name != name })
	if len(found) > 0 {
		slices.SortStableFunc(found, func(a, b socketUnit) int { return rank(a) - rank(b) })
		j.unit(key, found[0])
		return
	}
	if j.u == nil {
		j.fail(key, "needs systemd, which does not run on this host or does not answer",
			"write IP:PORT, as in 127.0.0.1:2525")
		return
	}
	var names []string
	for _, s := range j.units {
		names = append(names, s.Name)
	}
	remedy := "install the package, or a socket unit with FileDescriptorName=" + name + " and Service=" + serviceUnit
	if len(names) > 0 {
		remedy = "write one of the names that socket units have: " + strings.Join(names, ", ")
	}
	j.fail(key, "has no socket unit that opens it for "+serviceUnit, remedy)
}

// rank orders units that have one name: those that will be there come first.
func rank(s socketUnit) int {
	switch {
	case s.Active:
		return 0
	case s.Enabled:
		return 1
	}
	return 2
}

// unit judges a socket unit that the configuration needs.
func (j *portJudge) unit(key string, s socketUnit) {
	j.used = append(j.used, s.ID)
	if s.Active {
		return
	}
	if !s.Enabled && !j.u.fresh() {
		j.fail(key, "needs "+s.ID+", which is not enabled",
			"run: systemctl enable "+s.ID+" && systemctl restart graphrelay")
	}
	for _, a := range s.Addresses {
		wrong, remedy := j.taken(a)
		if wrong != "" {
			j.fail(key, "needs "+s.ID+", whose "+a+" "+wrong, remedy)
			return
		}
	}
	if s.Enabled && !j.u.fresh() {
		j.host.Warnings = append(j.host.Warnings, j.c.Problem(key, "needs "+s.ID+", which is enabled but not open yet",
			"run: systemctl restart graphrelay"))
	}
}

// address judges IP:PORT: it is opened by a socket unit that has it, or by the
// service.
func (j *portJudge) address(key, address string, smtp bool) {
	privileged := func(p config.Problem) bool { return p.Key == key && p.Wrong == config.NeedsPrivilege }
	i := slices.IndexFunc(j.host.Found, privileged)
	at := slices.IndexFunc(j.units, func(s socketUnit) bool { return slices.Contains(s.Addresses, address) })
	if smtp && at >= 0 && (i >= 0 || j.units[at].Active || j.units[at].Enabled) {
		j.host.Found = slices.DeleteFunc(j.host.Found, privileged)
		j.unit(key, j.units[at])
		return
	}
	if i >= 0 {
		j.host.Found[i].Remedy = j.wayTo(address, smtp)
		return
	}
	if wrong, remedy := j.taken(address); wrong != "" &&
		!slices.ContainsFunc(j.host.Found, func(p config.Problem) bool { return p.Key == key }) {
		j.fail(key, wrong, remedy)
	}
}

// wayTo says how the service gets a port below 1024.
func (j *portJudge) wayTo(address string, smtp bool) string {
	const capability = "write a port from 1024 up, or run: systemctl edit graphrelay, and write under [Service]: " +
		"AmbientCapabilities=CAP_NET_BIND_SERVICE and CapabilityBoundingSet=CAP_NET_BIND_SERVICE"
	_, port, _ := net.SplitHostPort(address)
	for _, s := range j.units {
		for _, a := range s.Addresses {
			if _, p, _ := net.SplitHostPort(a); p == port && smtp {
				return "run: systemctl edit " + s.ID + ", and write under [Socket]: ListenStream=" + address +
					"; then: systemctl enable " + s.ID + " && systemctl stop " + s.ID +
					" && systemctl restart graphrelay"
			}
		}
	}
	return capability
}

// taken says who else has an address that root could listen on; a running service
// has those of its own.
func taken(address string, running bool) (wrong, remedy string) {
	if strings.HasPrefix(address, "/") || os.Geteuid() != 0 {
		return "", "" // CheckHost has looked as this user
	}
	l, err := net.Listen("tcp", address)
	if err == nil {
		l.Close()
		return "", ""
	}
	if !errors.Is(err, syscall.EADDRINUSE) {
		return "", "" // the service's own process has said so
	}
	_, port, _ := net.SplitHostPort(address)
	number, _ := strconv.ParseUint(port, 10, 16)
	holders, _ := whoHas(procfs.DefaultMountPoint, uint16(number))
	for _, h := range holders {
		switch {
		case h.unit == serviceUnit, h.name == "graphrelay" && running:
			return "", ""
		case h.pid == 1:
		case strings.HasSuffix(h.unit, ".service"):
			return fmt.Sprintf("is in use by %s of %s", h.name, h.unit),
				"run: systemctl disable --now " + h.unit + "; or write another port"
		default:
			return fmt.Sprintf("is in use by %s (process %d)", h.name, h.pid),
				"stop that program, or write another port"
		}
	}
	return "is in use by another socket of systemd",
		"run: systemctl list-sockets; stop and disable the unit that has it, or write another port"
}

// rest warns of sockets whose clients are turned away, and says what starts a new
// service.
func (j *portJudge) rest() {
	next := "systemctl enable --now"
	for _, s := range j.units {
		submit := s.Name == "submit" // sendmail's, which needs no listener
		switch {
		case submit || slices.Contains(j.used, s.ID):
			next += " " + s.ID
		case s.Enabled || s.Active:
			j.host.Warnings = append(j.host.Warnings, j.c.Problem("smtp.listeners",
				"names no socket of "+s.ID+": its clients are answered 421",
				"run: systemctl disable --now "+s.ID+"; or write systemd:"+s.Name))
		}
	}
	if j.u.loaded() && j.u.fresh() {
		j.host.Next = next + " " + serviceUnit
	}
}

// holder is a program that has a port.
type holder struct {
	name, unit string
	pid        int
}

// whoHas finds the programs that listen on a port, by the kernel's files below /proc,
// systemd last: it passes its sockets on.
func whoHas(root string, port uint16) (list []holder, taken bool) {
	var sockets []string // as /proc/PID/fd names them
	for _, inode := range socket.Listening(filepath.Join(root, "net"), port) {
		sockets = append(sockets, "socket:["+inode+"]")
	}
	all, err := processes(root)
	if err != nil || len(sockets) == 0 {
		return nil, len(sockets) > 0
	}
	for _, p := range all {
		files, err := p.FileDescriptorTargets()
		if err != nil || !slices.ContainsFunc(files, func(f string) bool { return slices.Contains(sockets, f) }) {
			continue
		}
		h := holder{pid: p.PID}
		h.name, _ = p.Comm()
		if groups, err := p.Cgroups(); err == nil && len(groups) > 0 {
			h.unit = groups[0].Path[strings.LastIndex(groups[0].Path, "/")+1:]
		}
		list = append(list, h)
	}
	slices.SortFunc(list, func(a, b holder) int { return b.pid - a.pid })
	return list, true
}

func processes(root string) (procfs.Procs, error) {
	proc, err := procfs.NewFS(root)
	if err != nil {
		return nil, err
	}
	return proc.AllProcs()
}
