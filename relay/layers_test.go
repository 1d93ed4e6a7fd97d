package relay_test

import (
	"os/exec"
	"strings"
	"testing"
)

// layer gives each package of ours its height in the design (section 1).
// Imports point down only, and packages of one layer never import each other.
var layer = map[string]int{
	"relay/envelope": 0, "relay/status": 0, "config": 1,
	"relay/smtpd": 1, "relay/policy": 1, "relay/message": 1, "relay/spool": 1, "relay/spool/spooltest": 1, "relay/graph": 1,
	"relay/dsn": 1, "relay/setup": 1, "relay/sandbox": 1, "relay/sendmail": 1,
	"relay/monitor": 1, "relay/alert": 1,
	"relay/intake": 2, "relay/delivery": 2, "relay/verify": 2, "relay/admin": 2, "relay/console": 2,
	"relay": 3, "cmd/graphrelay": 4,
}

// allowed are the imports that the heights alone would not tell apart.
var (
	onlyLayer0 = map[string]bool{"config": true} // config imports layer 0 only, and ...
	mayConfig  = map[string]bool{"relay": true, "cmd/graphrelay": true}
	inside     = map[string]string{"relay/spool/spooltest": "relay/spool"} // a suite belongs to its package
)

func TestImportsPointDown(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}:{{join .Imports " "}}`, "graphrelay/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		pkg, imports, _ := strings.Cut(strings.TrimPrefix(line, "graphrelay/"), ":")
		if strings.HasPrefix(pkg, "relay/e2e") {
			continue // tests of the whole
		}
		height, known := layer[pkg]
		if !known {
			t.Errorf("package %s has no layer; give it one in design section 1 and here", pkg)
		}
		for _, imp := range strings.Fields(imports) {
			if imp, ours := strings.CutPrefix(imp, "graphrelay/"); ours {
				checkImport(t, pkg, height, imp)
			}
		}
	}
}

func checkImport(t *testing.T, pkg string, height int, imp string) {
	t.Helper()
	switch {
	case inside[pkg] == imp:
	case imp == "config" && !mayConfig[pkg]:
		t.Errorf("%s imports config; only relay and cmd may", pkg)
	case onlyLayer0[pkg] && layer[imp] != 0:
		t.Errorf("%s imports %s; of ours it may import layer 0 only", pkg, imp)
	case height == 0:
		t.Errorf("%s (layer 0) imports %s; layer 0 imports nothing of ours", pkg, imp)
	case layer[imp] >= height:
		t.Errorf("%s (layer %d) imports %s (layer %d); imports point down only", pkg, height, imp, layer[imp])
	}
}
