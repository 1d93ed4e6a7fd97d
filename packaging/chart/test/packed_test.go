package charttest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/v2/loader"
)

// What `make release` packs is a chart that Helm loads, complete, and it renders what the
// folder does, but for the version.
func TestThePackedChartIsTheFolder(t *testing.T) {
	out := t.TempDir()
	pack := exec.Command("go", "run", ".", "-out", out, "-make", "chart", "-arch", "amd64",
		"-version", "v9.8.7-4-gabcdef", "-maintainer", "Jane Doe <jane@example.org>")
	pack.Dir = "../../pack"
	pack.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000")
	if b, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	packed, err := loader.Load(filepath.Join(out, "graphrelay-9.8.7+4.gabcdef.tgz"))
	if err != nil {
		t.Fatal(err)
	}
	folder, err := loader.Load("..")
	if err != nil {
		t.Fatal(err)
	}
	if err := packed.Validate(); err != nil {
		t.Error(err)
	}
	names := map[string]string{}
	for _, f := range packed.Raw {
		names[f.Name] = string(f.Data)
	}
	for _, f := range folder.Raw {
		if text, there := names[f.Name]; !there || f.Name != "Chart.yaml" && text != string(f.Data) {
			t.Errorf("%s is in the archive: %v; and differs", f.Name, there)
		}
		delete(names, f.Name)
	}
	if len(names) > 0 {
		t.Errorf("the archive has more than the chart: %v", names)
	}
	version := strings.NewReplacer("9.8.7-4.gabcdef", folder.AppVersion(), "9.8.7_4.gabcdef", folder.Metadata.Version)
	for name, values := range cases(t) {
		got, err := render(packed, values)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text := together(got)
		if same := version.Replace(text); same != together(rendered(t, values)) || same == text {
			t.Errorf("%s: the archive renders\n%s", name, text)
		}
	}
}
