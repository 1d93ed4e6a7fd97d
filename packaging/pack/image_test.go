package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/image-spec/schema"
)

// build makes the image of a source into a folder of its own, and returns the file.
func build(t *testing.T, root string) string {
	t.Helper()
	p := &plan{root: root, out: t.TempDir(), version: "1.2.3+4.gabcdef", maintainer: "Jane Doe <jane@example.org>",
		homepage: "https://graphrelay.example.org", revision: strings.Repeat("a", 40), makes: []string{"image"},
		at: time.Unix(1_700_000_000, 0).UTC()}
	if err := p.make([]string{"amd64", "arm64"}); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(p.out, "graphrelay_1.2.3+4.gabcdef.oci.tar")
}

// elsewhere copies the source into another folder, as another checkout has it.
func elsewhere(t *testing.T, root string) string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	var list []byte
	if err := run(cmd, &list); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "another folder")
	for _, name := range strings.Split(strings.Trim(string(list), "\x00"), "\x00") {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			continue // deleted, and not committed
		}
		if err := write(to, name, b); err != nil {
			t.Fatal(err)
		}
	}
	return to
}

func TestTheSameSourceGivesTheSameImageInAnyFolder(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	file := build(t, root)
	one, errOne := os.ReadFile(file)
	two, errTwo := os.ReadFile(build(t, elsewhere(t, root)))
	if errOne != nil || errTwo != nil || !bytes.Equal(one, two) {
		t.Errorf("the image was built twice and differs (%v, %v)", errOne, errTwo)
	}
	l := unpack(t, file)
	t.Run("valid", func(t *testing.T) { valid(t, l) })
	t.Run("what it says of itself", func(t *testing.T) { says(t, l) })
	t.Run("what is in it", func(t *testing.T) { holds(t, l) })
	t.Run("bills of materials refer to it", func(t *testing.T) { refers(t, l) })
}

// unpack unpacks a layout.
func unpack(t *testing.T, file string) layout.Path {
	t.Helper()
	dir := t.TempDir()
	if err := run(exec.Command("tar", "-C", dir, "-xf", file), nil); err != nil {
		t.Fatal(err)
	}
	l, err := layout.FromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// valid judges every document of the layout by OCI's schema, and every blob by its
// digest.
func valid(t *testing.T, l layout.Path) {
	for name, judge := range map[string]schema.Validator{"index.json": schema.ValidatorMediaTypeImageIndex,
		"oci-layout": schema.ValidatorMediaTypeLayoutHeader} {
		b, err := os.ReadFile(filepath.Join(string(l), name))
		if err == nil {
			err = judge.Validate(bytes.NewReader(b))
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	blobs, _ := filepath.Glob(filepath.Join(string(l), "blobs", "sha256", "*"))
	documents := map[schema.Validator]int{}
	for _, blob := range blobs {
		b, err := os.ReadFile(blob)
		if err != nil {
			t.Fatal(err)
		}
		if h, _, _ := v1.SHA256(bytes.NewReader(b)); h.Hex != filepath.Base(blob) {
			t.Errorf("%s has the digest %s", blob, h)
		}
		judge := kind(b)
		if documents[judge]++; judge == "" {
			continue // a layer
		}
		if err := judge.Validate(bytes.NewReader(b)); err != nil {
			t.Errorf("%s, judged as %s: %v", filepath.Base(blob), judge, err)
		}
	}
	if documents[schema.ValidatorMediaTypeImageIndex] != 1 || documents[schema.ValidatorMediaTypeManifest] != 4 ||
		documents[schema.ValidatorMediaTypeImageConfig] != 2 {
		t.Errorf("the layout has %v", documents)
	}
	if err := validate.Index(images(t, l)); err != nil {
		t.Error(err)
	}
}

// kind is what a blob must be valid as; "" for layers.
func kind(b []byte) schema.Validator {
	var d struct {
		MediaType string          `json:"mediaType"`
		RootFS    json.RawMessage `json:"rootfs"`
	}
	switch err := json.Unmarshal(b, &d); {
	case err == nil && d.RootFS != nil:
		return schema.ValidatorMediaTypeImageConfig
	case err == nil:
		return schema.Validator(d.MediaType)
	}
	return ""
}

// images is the index of both architectures.
func images(t *testing.T, l layout.Path) v1.ImageIndex {
	t.Helper()
	top, err := l.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	m, err := top.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if name := m.Manifests[0].Annotations["org.opencontainers.image.ref.name"]; name != "graphrelay:1.2.3-4.gabcdef" {
		t.Errorf("the image's name is %q", name)
	}
	index, err := top.ImageIndex(m.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// image is that of an architecture.
func image(t *testing.T, l layout.Path, arch string) v1.Image {
	t.Helper()
	index := images(t, l)
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(m.Manifests, func(d v1.Descriptor) bool {
		return d.Platform != nil && d.Platform.OS == "linux" && d.Platform.Architecture == arch
	})
	if at < 0 {
		t.Fatalf("no image for %s in %v", arch, m.Manifests)
	}
	img, err := index.Image(m.Manifests[at].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func says(t *testing.T, l layout.Path) {
	for _, arch := range []string{"amd64", "arm64"} {
		f, err := image(t, l, arch).ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		c := f.Config
		if command := strings.Join(append(c.Entrypoint, c.Cmd...), " "); c.User != "65532:65532" || command !=
			"/usr/bin/graphrelay serve --watch-config -c /etc/graphrelay/config.yaml" || c.StopSignal != "SIGTERM" {
			t.Errorf("%s runs %q as %q until %q", arch, command, c.User, c.StopSignal)
		}
		if _, ok := c.Volumes["/data"]; !ok || f.Architecture != arch {
			t.Errorf("%s: volumes %v, architecture %s", arch, c.Volumes, f.Architecture)
		}
		for name, want := range map[string]string{"title": "graphrelay", "version": "1.2.3-4.gabcdef",
			"licenses": "MIT", "authors": "Jane Doe <jane@example.org>", "url": "https://graphrelay.example.org",
			"revision": strings.Repeat("a", 40), "created": "2023-11-14T22:13:20Z"} {
			if got := c.Labels["org.opencontainers.image."+name]; got != want {
				t.Errorf("%s: label %s is %q, want %q", arch, name, got, want)
			}
		}
	}
}

// holds looks at the files of the image, and runs the program where it can.
func holds(t *testing.T, l layout.Path) {
	files := map[string][]byte{}
	owners := map[string]int{}
	stream := mutate.Extract(image(t, l, runtime.GOARCH))
	defer stream.Close()
	for r := tar.NewReader(stream); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := strings.Trim(h.Name, "./")
		owners[name] = h.Uid
		if files[name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(time.Unix(1_700_000_000, 0)) || (h.Mode&0o002 != 0 && h.Mode&0o1000 == 0) {
			t.Errorf("%s is of %s and has mode %o", name, h.ModTime, h.Mode)
		}
	}
	if owners["data"] != user || owners["usr/bin/graphrelay"] != 0 || owners["etc/graphrelay"] != 0 {
		t.Errorf("the owners are %v", owners)
	}
	roots := 0
	for rest := files["etc/ssl/certs/ca-certificates.crt"]; len(rest) > 0; roots++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			t.Fatalf("after %d roots: %.40q", roots, rest)
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			t.Error(err)
		}
	}
	if roots < 100 {
		t.Errorf("the image trusts %d roots", roots)
	}
	program := filepath.Join(t.TempDir(), "graphrelay")
	if err := os.WriteFile(program, files["usr/bin/graphrelay"], 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(program, "version").Output(); err != nil || !strings.Contains(string(out),
		"1.2.3+4.gabcdef") {
		t.Errorf("the program says %s (%v)", out, err)
	}
}

// refers finds the bill of materials of each architecture by what it refers to.
func refers(t *testing.T, l layout.Path) {
	top, err := l.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	list, err := top.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	found := map[v1.Hash]bool{}
	if len(list.Manifests) != 1 {
		t.Fatalf("%d images are named; podman load wants one", len(list.Manifests))
	}
	all, err := images(t, l).IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all.Manifests {
		if d.Platform.OS == "linux" {
			continue
		}
		b, err := l.Bytes(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		var m v1.Manifest
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		bill, err := l.Bytes(m.Layers[0].Digest)
		if err != nil || d.ArtifactType != cycloneDX || d.Platform.OS != "unknown" ||
			m.Layers[0].MediaType != types.MediaType(cycloneDX) ||
			!bytes.Contains(bill, []byte(`"bomFormat":"CycloneDX"`)) {
			t.Errorf("%+v: %v, %.60s", m, err, bill)
		}
		found[m.Subject.Digest] = true
	}
	for _, arch := range []string{"amd64", "arm64"} {
		if digest, err := image(t, l, arch).Digest(); err != nil || !found[digest] {
			t.Errorf("no bill of materials refers to %s of %s (%v)", digest, arch, err)
		}
	}
}
