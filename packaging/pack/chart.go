package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// chart writes the Helm chart, as helm package would, with the version of the image
// that it installs by default.
func (p *plan) chart() error {
	stage, err := os.MkdirTemp("", "graphrelay-chart-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	from := filepath.Join(p.root, "packaging", "chart")
	version := strings.ReplaceAll(p.version, "~", "-") // SemVer
	err = filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && name == "test":
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		b, err := os.ReadFile(path)
		if name == "Chart.yaml" {
			b = regexp.MustCompile(`(?m)^version: .*`).ReplaceAll(b, []byte("version: "+version))
			b = regexp.MustCompile(`(?m)^appVersion: .*`).ReplaceAll(b, []byte(`appVersion: "`+p.tag()+`"`))
		}
		return errors.Join(err, write(filepath.Join(stage, "graphrelay"), name, b))
	})
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(p.out, fmt.Sprintf("graphrelay-%s.tgz", version)))
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return err
	}
	fmt.Println(f.Name())
	return errors.Join(p.tar(z, stage), z.Close(), f.Close())
}
