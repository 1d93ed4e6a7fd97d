package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb"
	_ "github.com/goreleaser/nfpm/v2/rpm"
)

// packages writes the deb and the rpm.
func (p plan) packages(stage, arch string) error {
	text, err := os.ReadFile("nfpm.yaml")
	if err != nil {
		return err
	}
	// nfpm itself expands variables in few places only.
	expanded := strings.NewReplacer("${STAGE}", stage, "${ARCH}", arch, "${VERSION}", p.version,
		"${MAINTAINER}", strconv.Quote(p.maintainer), "${HOMEPAGE}", strconv.Quote(p.homepage)).Replace(string(text))
	config, err := nfpm.Parse(strings.NewReader(expanded))
	if err != nil {
		return err
	}
	for _, format := range []string{"deb", "rpm"} {
		if err := p.write(config, format); err != nil {
			return fmt.Errorf("%s: %w", format, err)
		}
	}
	return nil
}

func (p plan) write(config nfpm.Config, format string) error {
	info, err := config.Get(format)
	if err != nil {
		return err
	}
	info.MTime = p.at
	info = nfpm.WithDefaults(info)
	packager, err := nfpm.Get(format)
	if err != nil {
		return err
	}
	path := filepath.Join(p.out, packager.ConventionalFileName(info))
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := packager.Package(info, f); err != nil {
		return err
	}
	fmt.Println(path)
	return f.Close()
}
