package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// module is a module of which code is in the program.
type module struct {
	path, version, sum string
	license            string // SPDX
	texts              []string
}

// notices writes what the licences of the modules want passed on, and the bill
// of materials. The list is what the linker recorded in the program itself.
func (p plan) notices(stage, arch string) error {
	mods, err := p.modules(filepath.Join(stage, "graphrelay"))
	if err != nil {
		return err
	}
	own, err := os.ReadFile(filepath.Join(p.root, "LICENSE"))
	if err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString("graphrelay holds code of these modules, under their own licences.\n")
	for _, m := range mods {
		fmt.Fprintf(&b, "\n%s\n%s %s (%s)\n\n%s\n", strings.Repeat("=", 78), m.path, m.version, m.license,
			strings.Join(m.texts, "\n"))
	}
	if err := writeGzip(stage, "THIRD-PARTY-NOTICES.gz", b.Bytes()); err != nil {
		return err
	}
	if err := write(stage, "copyright", []byte(copyrightFile(string(own), mods))); err != nil {
		return err
	}
	name := fmt.Sprintf("graphrelay_%s_%s.notices.txt", p.version, arch)
	if err := os.WriteFile(filepath.Join(p.out, name), b.Bytes(), 0o644); err != nil {
		return err
	}
	return os.WriteFile(p.billFile(arch), p.bill(mods), 0o644)
}

// billFile is the file of an architecture's bill of materials.
func (p plan) billFile(arch string) string {
	return filepath.Join(p.out, fmt.Sprintf("graphrelay_%s_%s.cdx.json", p.version, arch))
}

// copyrightFile is /usr/share/doc/graphrelay/copyright, by Debian's form 1.0.
func copyrightFile(own string, mods []module) string {
	var b strings.Builder
	b.WriteString("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: " +
		"graphrelay\n\nFiles: *\nCopyright: the authors of graphrelay\nLicense: MIT\n")
	for _, line := range strings.Split(strings.TrimSpace(own), "\n") {
		if line = strings.TrimRight(line, " \t\r"); line == "" {
			line = "."
		}
		b.WriteString(" " + line + "\n")
	}
	b.WriteString("\nComment:\n The program holds code of these modules; THIRD-PARTY-NOTICES.gz in this folder\n has " +
		"their licences in full.\n .\n")
	for _, m := range mods {
		fmt.Fprintf(&b, " %s (%s)\n", m.path, m.license)
	}
	return b.String()
}

func (p plan) modules(program string) ([]module, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, err
	}
	var mods []module
	for _, d := range info.Deps {
		if d.Replace != nil {
			d = d.Replace
		}
		m := module{path: d.Path, version: d.Version, sum: d.Sum}
		if err := p.license(&m); err != nil {
			return nil, err
		}
		mods = append(mods, m)
	}
	goLicense, err := goRootLicense()
	if err != nil {
		return nil, err
	}
	mods = append(mods, module{path: "std", version: strings.TrimPrefix(info.GoVersion, "go"), license: "BSD-3-Clause",
		texts: []string{goLicense}})
	slices.SortFunc(mods, func(a, b module) int { return strings.Compare(a.path, b.path) })
	return mods, nil
}

func goRootLicense() (string, error) {
	var out []byte
	if err := run(exec.Command("go", "env", "GOROOT"), &out); err != nil {
		return "", err
	}
	b, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "LICENSE"))
	return string(b), err
}

// license reads the licence files at the top of a module. One without any, or
// with terms that are not among the allowed ones, stops the packing.
func (p plan) license(m *module) error {
	cmd := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", m.path)
	cmd.Dir = p.root
	var out []byte
	if err := run(cmd, &out); err != nil {
		return err
	}
	dir := strings.TrimSpace(string(out))
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|copyright)([._-].*)?$`).MatchString(e.Name()) ||
			e.IsDir() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err
		}
		m.texts = append(m.texts, string(b))
		if id := licenseOf(string(b)); id != "" && m.license == "" {
			m.license = id
		}
	}
	if m.license == "" {
		return fmt.Errorf("the licence of %s is not among MIT, BSD, Apache, ISC, MPL: look at %s", m.path, dir)
	}
	return nil
}

// licenseOf tells a licence by sentences that stand in no other.
func licenseOf(text string) string {
	flat := strings.Join(strings.Fields(text), " ")
	for _, l := range []struct{ id, sentence string }{
		{"Apache-2.0", "Apache License"},
		{"MPL-2.0", "Mozilla Public License"},
		{"BSD-3-Clause", "Neither the name of"},
		{"BSD-3-Clause", "may be used to endorse or promote products"},
		{"BSD-2-Clause", "Redistributions in binary form must reproduce"},
		{"ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose"},
		{"MIT", "Permission is hereby granted, free of charge"},
	} {
		if strings.Contains(flat, l.sentence) {
			return l.id
		}
	}
	return ""
}

// bill is the bill of materials, CycloneDX 1.5.
func (p plan) bill(mods []module) []byte {
	type object = map[string]any
	component := func(kind, name, version, license, sum string) object {
		ref := "pkg:golang/" + name + "@" + version
		c := object{"type": kind, "bom-ref": ref, "purl": ref, "name": name, "version": version,
			"licenses": []object{{"license": object{"id": license}}}}
		if sum != "" {
			c["properties"] = []object{{"name": "go:sum", "value": sum}}
		}
		return c
	}
	list := []object{}
	for _, m := range mods {
		list = append(list, component("library", m.path, m.version, m.license, m.sum))
	}
	out, err := json.MarshalIndent(object{
		"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
		"metadata": object{
			"timestamp": p.at.Format("2006-01-02T15:04:05Z"),
			"component": component("application", "graphrelay", p.version, "MIT", ""),
		},
		"components": list,
	}, "", "  ")
	if err != nil {
		panic(err) // of our own making
	}
	return append(out, '\n')
}
