package relay_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// layer gives each package of ours its height, as packaging/doc/design.md
// draws it. Imports point down only.
var layer = map[string]int{
	// words
	"relay/envelope": 0, "relay/reply": 0, "relay/outcome": 0, "relay/pacing": 0, "relay/text": 0, "relay/state": 0,
	"relay/message/charset": 0, "relay/hostheader": 0, "relay/costtest": 0,
	// organs
	"relay/smtpd": 1, "relay/smtpd/wire": 1, "relay/policy": 1,
	"relay/message": 1, "relay/message/address": 1, "relay/message/parts": 1,
	"relay/spool": 1, "relay/spool/sqlite": 1, "relay/spool/spooltest": 1, "relay/spool/model": 1,
	"relay/spool/db": 1, "relay/spool/room": 1, "relay/spool/tables": 1,
	"relay/spool/sqlite/file": 1, "relay/spool/sqlite/disk": 1,
	"relay/spool/postgres": 1, "relay/spool/postgres/link": 1, "relay/spool/postgres/pgtest": 1,
	"relay/entra": 1, "relay/graph": 1, "relay/graph/graphtest": 1, "relay/graph/largemail": 1, "relay/submission": 1,
	"relay/dsn": 1, "relay/bounce": 1,
	"relay/setup": 1, "relay/setup/certificate": 1,
	"relay/watchfile": 1, "relay/socket": 1, "relay/keypair": 1, "relay/loglimit": 1,
	"relay/sendmail": 1, "relay/sandbox": 1, "config/strict": 1, "config": 1, "cmd/graphrelay/terminal": 1,
	// flows
	"relay/intake": 2, "relay/delivery": 2, "relay/delivery/pace": 2, "relay/delivery/hold": 2,
	"relay/delivery/turns": 2, "relay/verify": 2,
	"relay/operator": 2, "relay/refusals": 2, "relay/tracking": 2, "relay/canary": 2, "relay/renewal": 2,
	"relay/monitor": 2, "relay/alert": 2, "relay/admin": 2, "relay/console": 2,
	// the whole
	"relay/wiring": 3, "relay/listeners": 3, "relay/doctor": 3, "relay/move": 3,
	"relay/observe": 3, "relay": 3, "cmd/graphrelay": 4,
}

// sideways are the only imports within a layer: a child's of its parent, a
// parent's of the children that only it uses, and a few between neighbours.
var sideways = map[string][]string{
	"relay/outcome": {"relay/reply", "relay/text"},
	"relay/state":   {"relay/envelope", "relay/outcome", "relay/reply", "relay/text"},
	// address is the form of a list without a header; parts reads the header of a
	// whole message and of its parts.
	"relay/message":       {"relay/message/address"},
	"relay/sendmail":      {"relay/message"}, // whose reading of a message is the relay's
	"relay/message/parts": {"relay/message", "relay/message/address"},
	// tables is what every SQL engine shares; sqlite is one, with file and disk below it.
	"relay/spool/db":          {"relay/spool"},
	"relay/spool/room":        {"relay/spool"},
	"relay/spool/tables":      {"relay/spool", "relay/spool/db", "relay/spool/room"},
	"relay/spool/sqlite/file": {"relay/spool/db"},
	"relay/spool/sqlite/disk": {"relay/spool", "relay/spool/room"},
	"relay/spool/sqlite": {"relay/spool", "relay/spool/db", "relay/spool/room", "relay/spool/tables",
		"relay/spool/sqlite/file", "relay/spool/sqlite/disk"},
	"relay/spool/postgres": {"relay/spool", "relay/spool/db", "relay/spool/room", "relay/spool/tables",
		"relay/spool/postgres/link"},
	"relay/spool/postgres/link": {"relay/spool/db"},
	"relay/spool/spooltest":     {"relay/spool"},
	"relay/entra":               {"relay/watchfile"},
	"relay/keypair":             {"relay/watchfile"},
	// wire is the form of SMTP without a connection; the user of a unix socket and
	// a limit for log lines are for more than SMTP.
	"relay/smtpd":           {"relay/smtpd/wire", "relay/socket", "relay/loglimit"},
	"relay/graph":           {"relay/entra"},
	"relay/graph/largemail": {"relay/graph", "relay/entra"},
	"relay/graph/graphtest": {"relay/graph", "relay/entra", "relay/sandbox"},
	"relay/submission":      {"relay/entra"},
	"relay/delivery":        {"relay/delivery/pace", "relay/delivery/hold", "relay/delivery/turns"},
	"relay/admin":           {"relay/operator"},
	"relay/console":         {"relay/operator"},
	"relay/doctor":          {"relay/wiring"},
	"relay/move":            {"relay/wiring"},
	"relay/listeners":       {"relay/wiring"},
	"relay":                 {"relay/wiring", "relay/observe", "relay/listeners"},
	"config":                {"config/strict"},
}

// mayConfig are the packages that know the configuration. The others get what
// they need as options, so that a key is translated in one place.
var mayConfig = []string{"relay/wiring", "relay/doctor", "relay/move", "relay", "cmd/graphrelay"}

func TestImportsPointDown(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}:{{join .Imports " "}}`, "graphrelay/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		pkg, imports, _ := strings.Cut(strings.TrimPrefix(line, "graphrelay/"), ":")
		if strings.HasPrefix(pkg, "relay/e2e") || strings.HasPrefix(pkg, "packaging/") {
			continue // tests of the whole, and tools
		}
		if _, known := layer[pkg]; !known {
			t.Errorf("package %s has no layer: give it one here and in packaging/doc/design.md", pkg)
			continue
		}
		for _, imp := range strings.Fields(imports) {
			if imp, ours := strings.CutPrefix(imp, "graphrelay/"); ours {
				checkImport(t, pkg, imp)
			}
		}
	}
}

func checkImport(t *testing.T, pkg, imp string) {
	t.Helper()
	height, under := layer[pkg], layer[imp]
	switch {
	case imp == "config":
		if !slices.Contains(mayConfig, pkg) {
			t.Errorf("%s imports config: only %s may; translate the key in relay/wiring and pass the value",
				pkg, strings.Join(mayConfig, ", "))
		}
	case slices.Contains(sideways[pkg], imp):
	case pkg == "config" && under != 0:
		t.Errorf("config imports %s: of ours it may import config/strict and layer 0; "+
			"move what both need to layer 0", imp)
	case under > height:
		t.Errorf("%s (layer %d) imports %s (layer %d): imports point down; move what both need below %s, "+
			"or declare the interface in %s and let its caller pass it in", pkg, height, imp, under, pkg, pkg)
	case under == height:
		t.Errorf("%s imports its neighbour %s (layer %d): move what both need to layer 0, "+
			"or let the layer above connect them; a new arrow between neighbours belongs in sideways, with its reason",
			pkg, imp, height)
	}
}
