// Command pack builds the Debian and RPM packages of graphrelay with what lies
// beside them, into a folder: for each architecture the binary, the packages
// and a bill of materials in CycloneDX form. The same source and the same
// SOURCE_DATE_EPOCH give the same bytes.
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
	"strconv"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("pack: ")
	p := plan{}
	var arches string
	flag.StringVar(&p.root, "root", "../..", "`DIR` of the source")
	flag.StringVar(&p.out, "out", "../../dist", "`DIR` for the packages")
	flag.StringVar(&p.describe, "version", "", "version, as git describe --tags --always --dirty says it")
	flag.StringVar(&arches, "arch", "amd64,arm64", "architectures")
	flag.StringVar(&p.maintainer, "maintainer", "", "`NAME <ADDRESS>` of the packages' maintainer")
	flag.StringVar(&p.homepage, "homepage", "", "`URL` of the project, for the packages; none if empty")
	flag.Parse()
	who, err := mail.ParseAddress(p.maintainer)
	if err != nil || who.Name == "" || strings.HasSuffix(who.Address, ".invalid") {
		log.Fatalf("-maintainer %q is not a name with an address that receives mail; "+
			"write: make package MAINTAINER='Jane Doe <jane@example.org>'", p.maintainer)
	}
	epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		log.Fatal("SOURCE_DATE_EPOCH must be set: the time of the source in seconds, " +
			"as git log -1 --format=%ct prints it")
	}
	p.at = time.Unix(epoch, 0).UTC()
	p.version = packageVersion(p.describe, p.at)
	for _, dir := range []*string{&p.root, &p.out} {
		if *dir, err = filepath.Abs(*dir); err != nil {
			log.Fatal(err)
		}
	}
	for _, arch := range strings.Split(arches, ",") {
		if err := p.pack(arch); err != nil {
			log.Fatalf("%s: %v", arch, err)
		}
	}
}

// plan says what is packed.
type plan struct {
	root, out         string
	describe, version string
	maintainer        string // NAME <ADDRESS>
	homepage          string // "" for none
	at                time.Time
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

func (p plan) pack(arch string) error {
	stage, err := os.MkdirTemp("", "graphrelay-pack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	if err := os.MkdirAll(p.out, 0o755); err != nil {
		return err
	}
	for _, step := range []func(stage, arch string) error{p.build, p.copyFiles, p.manual, p.completions, p.notices,
		p.stamp, p.packages} {
		if err := step(stage, arch); err != nil {
			return err
		}
	}
	return nil
}
