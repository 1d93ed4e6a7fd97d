package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
)

// sums writes the checksums of every file of the folder, as sha256sum --check reads
// them.
func (p *plan) sums() error {
	const name = "SHA256SUMS"
	entries, err := os.ReadDir(p.out)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, e := range entries {
		if e.IsDir() || e.Name() == name {
			continue
		}
		content, err := os.ReadFile(filepath.Join(p.out, e.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(content), e.Name())
	}
	return os.WriteFile(filepath.Join(p.out, name), b.Bytes(), 0o644)
}
