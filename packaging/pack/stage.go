package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// build compiles the program.
func (p plan) build(stage, arch string) error {
	return p.goBuild(filepath.Join(stage, "graphrelay"), arch)
}

func (p plan) goBuild(to, arch string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version="+p.version,
		"-o", to, "./cmd/graphrelay")
	cmd.Dir = p.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOFLAGS=")
	return run(cmd, nil)
}

// run runs cmd, and returns its output in out where that is not nil.
func run(cmd *exec.Cmd, out *[]byte) error {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, stderr.String())
	}
	if out != nil {
		*out = stdout.Bytes()
	}
	return nil
}

// copyFiles brings together what needs no making.
func (p plan) copyFiles(stage, _ string) error {
	schema, err := p.schema()
	if err != nil {
		return err
	}
	units, _ := filepath.Glob(filepath.Join(p.root, "systemd", "graphrelay*"))
	files := map[string]string{"config.yaml": "packaging/config.yaml", "apparmor": "packaging/apparmor/graphrelay",
		"lintian-overrides": "packaging/lintian/overrides"}
	for _, u := range units {
		files[filepath.Base(u)] = "systemd/" + filepath.Base(u)
	}
	for _, s := range []string{"preinstall", "postinstall", "preremove", "postremove"} {
		files[s] = "packaging/scripts/" + s
	}
	guides, _ := filepath.Glob(filepath.Join(p.root, "packaging", "doc", "*.md"))
	for _, g := range guides {
		if name := filepath.Base(g); name != "design.md" { // that one is for contributors
			files["doc/"+name] = "packaging/doc/" + name
		}
	}
	pictures, _ := filepath.Glob(filepath.Join(p.root, "packaging", "doc", "screenshots", "*.png"))
	for _, picture := range pictures {
		name := "screenshots/" + filepath.Base(picture)
		files["doc/"+name] = "packaging/doc/" + name
	}
	for _, f := range []string{"graphrelay.rules.yml", "graphrelay.dashboard.json"} {
		files["monitoring/"+f] = "packaging/monitoring/" + f
	}
	files["doc/example.yaml"] = "config/example.yaml"
	for to, from := range files {
		b, err := os.ReadFile(filepath.Join(p.root, from))
		if err != nil {
			return err
		}
		b = bytes.ReplaceAll(b, []byte("@SCHEMA@"), []byte(schema))
		if err := write(stage, to, b); err != nil {
			return err
		}
	}
	return nil
}

// schema is the version of the store that this source writes.
func (p plan) schema() (string, error) {
	b, err := os.ReadFile(filepath.Join(p.root, "relay/spool/sqlite/schema.go"))
	if err != nil {
		return "", err
	}
	m := regexp.MustCompile(`schemaVersion += (\d+)`).FindSubmatch(b)
	if m == nil {
		return "", fmt.Errorf("relay/spool/sqlite/schema.go names no schemaVersion")
	}
	return string(m[1]), nil
}

// manual makes the man pages by scdoc, and the changelogs.
func (p plan) manual(stage, _ string) error {
	pages, err := filepath.Glob(filepath.Join(p.root, "packaging/man/*.scd"))
	if err != nil || len(pages) == 0 {
		return fmt.Errorf("no manual under packaging/man: %v", err)
	}
	for _, page := range pages {
		source, err := os.Open(page)
		if err != nil {
			return err
		}
		cmd := exec.Command("scdoc")
		cmd.Stdin = source
		var out []byte
		err = run(cmd, &out)
		source.Close()
		if err != nil {
			return fmt.Errorf("%w (scdoc is a Debian package)", err)
		}
		name := strings.TrimSuffix(filepath.Base(page), ".scd")
		if name == "sendmail.8" { // beside those of other mail systems
			name = "graphrelay-sendmail.8"
		}
		if err := writeGzip(stage, name+".gz", out); err != nil {
			return err
		}
	}
	entry := fmt.Sprintf("graphrelay (%s-1) stable; urgency=medium\n\n  * See changelog.gz in this "+
		"folder.\n\n -- %s  %s\n",
		p.version, p.maintainer, p.at.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	if err := writeGzip(stage, "changelog.Debian.gz", []byte(entry)); err != nil {
		return err
	}
	changes, err := os.ReadFile(filepath.Join(p.root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	return writeGzip(stage, "changelog.gz", changes)
}

// completions asks the program, as built for this machine.
func (p plan) completions(stage, arch string) error {
	program := filepath.Join(stage, "graphrelay")
	if arch != runtime.GOARCH {
		program = filepath.Join(stage, "native")
		if err := p.goBuild(program, runtime.GOARCH); err != nil {
			return err
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		var out []byte
		if err := run(exec.Command(program, "completion", shell), &out); err != nil {
			return err
		}
		if err := write(stage, "completion."+shell, out); err != nil {
			return err
		}
	}
	return nil
}

// stamp gives every file the time of the source.
func (p plan) stamp(stage, _ string) error {
	return filepath.WalkDir(stage, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, p.at, p.at)
	})
}

func write(stage, name string, b []byte) error {
	path := filepath.Join(stage, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

// writeGzip writes as gzip -9n would: without name and time.
func writeGzip(stage, name string, b []byte) error {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := z.Write(b); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return write(stage, name, out.Bytes())
}
