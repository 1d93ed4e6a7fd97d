// Command pack makes what a release of graphrelay is made of, into a folder: deb and
// rpm, an OCI image, a Helm chart, a bill of materials in CycloneDX form and the notices of the
// licences for each architecture, and the checksums of all. The same source and the
// same SOURCE_DATE_EPOCH give the same bytes, in whatever folder the source is.
//
// It is a module of its own, so that nothing of the packager is among the
// dependencies of the program.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("pack: ")
	p := plan{}
	var arches string
	makes := flag.String("make", "packages", "what to make: packages, image, chart, sums; several with commas")
	flag.StringVar(&p.root, "root", "../..", "`DIR` of the source")
	flag.StringVar(&p.out, "out", "../../dist", "`DIR` for the packages")
	flag.StringVar(&p.describe, "version", "", "version, as git describe --tags --always --dirty says it")
	flag.StringVar(&arches, "arch", "amd64,arm64", "architectures")
	flag.StringVar(&p.maintainer, "maintainer", "", "`NAME <ADDRESS>` of the packages' maintainer")
	flag.StringVar(&p.homepage, "homepage", "", "`URL` of the project, for the packages; none if empty")
	flag.StringVar(&p.revision, "revision", "", "commit of the source, for the image; none if empty")
	flag.Parse()
	p.makes = strings.Split(*makes, ",")
	who, err := mail.ParseAddress(p.maintainer)
	if err != nil || who.Name == "" || strings.HasSuffix(who.Address, ".invalid") {
		log.Fatalf("-maintainer %q is not a name with an address that receives mail; "+
			"write: make package MAINTAINER='Jane Doe <jane@example.org>'", p.maintainer)
	}
	epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		log.Fatalf("SOURCE_DATE_EPOCH must be set: the time of the source in seconds, " +
			"as git log -1 --format=%%ct prints it")
	}
	p.at = time.Unix(epoch, 0).UTC()
	p.version = packageVersion(p.describe, p.at)
	for _, dir := range []*string{&p.root, &p.out} {
		if *dir, err = filepath.Abs(*dir); err != nil {
			log.Fatal(err)
		}
	}
	if err := p.make(strings.Split(arches, ",")); err != nil {
		log.Fatal(err)
	}
}

// plan says what is packed.
type plan struct {
	root, out          string
	describe, version  string
	maintainer         string   // NAME <ADDRESS>
	homepage, revision string   // "" for none
	makes              []string // packages, image, chart, sums
	at                 time.Time
	images             []platform // made so far
}

// make makes everything that was asked for.
func (p *plan) make(arches []string) error {
	if slices.Contains(p.makes, "sums") { // a release
		if err := p.changed(); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(p.out, 0o755); err != nil {
		return err
	}
	for _, arch := range arches {
		if err := p.pack(arch); err != nil {
			return fmt.Errorf("%s: %w", arch, err)
		}
	}
	for _, last := range []struct {
		name string
		make func() error
	}{{"image", p.image}, {"chart", p.chart}, {"sums", p.sums}} {
		if !slices.Contains(p.makes, last.name) {
			continue
		}
		if err := last.make(); err != nil {
			return fmt.Errorf("%s: %w", last.name, err)
		}
	}
	return nil
}

// packageVersion makes a version that both dpkg and rpm order rightly: commits
// after a tag come after it, and without a tag before every release.
func packageVersion(describe string, at time.Time) string {
	v := strings.TrimPrefix(describe, "v")
	dirty := strings.HasSuffix(v, "-dirty")
	v = strings.TrimSuffix(v, "-dirty")
	if tag, commits, ok := strings.Cut(v, "-"); ok && strings.Contains(tag, ".") {
		v = tag + "+" + strings.ReplaceAll(commits, "-", ".")
	} else if !strings.Contains(v, ".") {
		v = fmt.Sprintf("0.0.0~git%s.%s", at.Format("20060102150405"), v)
	}
	if dirty {
		v += "+dirty"
	}
	return v
}

func (p *plan) pack(arch string) error {
	stage, err := os.MkdirTemp("", "graphrelay-pack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	steps := []func(stage, arch string) error{p.build, p.notices}
	if slices.Contains(p.makes, "packages") {
		steps = append(steps, p.copyFiles, p.manual, p.completions, p.stamp, p.packages)
	}
	if slices.Contains(p.makes, "image") {
		steps = append(steps, p.platform)
	}
	for _, step := range steps {
		if err := step(stage, arch); err != nil {
			return err
		}
	}
	return nil
}
