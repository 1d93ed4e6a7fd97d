package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user runs the program in the image; user 65532 is nobody on any host.
const user = 65532

// cycloneDX is the media type of a bill of materials.
const cycloneDX = "application/vnd.cyclonedx+json"

// platform is the image of one architecture with its bill of materials.
type platform struct {
	image v1.Image
	bill  []byte
}

// platform makes the image of one architecture: the program on an empty root.
func (p *plan) platform(stage, arch string) error {
	root, err := p.rootFS(stage)
	if err != nil {
		return err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(root)), nil }
	layer, err := tarball.LayerFromOpener(open,
		tarball.WithCompressionLevel(gzip.BestCompression), tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return err
	}
	at := v1.Time{Time: p.at}
	img, err := mutate.Append(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1),
		types.OCIConfigJSON), mutate.Addendum{Layer: layer, MediaType: types.OCILayer,
		History: v1.History{Created: at, CreatedBy: "make image"}})
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Created, config.Author = "linux", arch, at, p.maintainer
	config.Config = v1.Config{
		User:       fmt.Sprintf("%d:%d", user, user),
		Entrypoint: []string{"/usr/bin/graphrelay"},
		Cmd:        []string{"serve", "--watch-config", "-c", "/etc/graphrelay/config.yaml"},
		Env:        []string{"PATH=/usr/bin"},
		WorkingDir: "/data", Volumes: map[string]struct{}{"/data": {}},
		ExposedPorts: map[string]struct{}{"2525/tcp": {}},
		Labels:       p.labels(), StopSignal: "SIGTERM",
	}
	if img, err = mutate.ConfigFile(img, config); err != nil {
		return err
	}
	bill, err := os.ReadFile(p.billFile(arch))
	p.images = append(p.images, platform{mutate.Annotations(img, p.labels()).(v1.Image), bill})
	return err
}

// labels are those of OCI that are known.
func (p *plan) labels() map[string]string {
	labels := map[string]string{}
	for name, value := range map[string]string{
		"title": "graphrelay", "description": "SMTP relay to Microsoft 365 through Microsoft Graph", "licenses": "MIT",
		"version": p.tag(), "authors": p.maintainer, "created": p.at.Format("2006-01-02T15:04:05Z"),
		"url": p.homepage, "revision": p.revision,
	} {
		if value != "" {
			labels["org.opencontainers.image."+name] = value
		}
	}
	return labels
}

// tag is the version as the tag of an image, which has no + or ~.
func (p *plan) tag() string { return strings.NewReplacer("+", "-", "~", "-").Replace(p.version) }

// rootFS is the file system of the image as a tar file.
func (p *plan) rootFS(stage string) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range []struct {
		path string // a folder where it ends with a slash
		mode int64
		user int
		from string // file of the stage
		text string
	}{
		{path: "data/", mode: 0o700, user: user},
		{path: "etc/", mode: 0o755},
		{path: "etc/graphrelay/", mode: 0o755},
		{path: "etc/group", mode: 0o644, text: fmt.Sprintf("root:x:0:\ngraphrelay:x:%d:\n", user)},
		{path: "etc/passwd", mode: 0o644, text: fmt.Sprintf("root:x:0:0::/:/sbin/nologin\n"+
			"graphrelay:x:%d:%d::/data:/sbin/nologin\n", user, user)},
		{path: "etc/ssl/", mode: 0o755},
		{path: "etc/ssl/certs/", mode: 0o755},
		{path: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, text: roots()},
		{path: "run/", mode: 0o755},
		// Some engines give a tmpfs the mode of the folder under it, and root as its owner.
		{path: "run/graphrelay/", mode: 0o1777},
		{path: "tmp/", mode: 0o1777},
		{path: "usr/", mode: 0o755},
		{path: "usr/bin/", mode: 0o755},
		{path: "usr/bin/graphrelay", mode: 0o755, from: "graphrelay"},
		{path: "usr/share/", mode: 0o755},
		{path: "usr/share/doc/", mode: 0o755},
		{path: "usr/share/doc/graphrelay/", mode: 0o755},
		{path: "usr/share/doc/graphrelay/THIRD-PARTY-NOTICES.gz", mode: 0o644, from: "THIRD-PARTY-NOTICES.gz"},
		{path: "usr/share/doc/graphrelay/copyright", mode: 0o644, from: "copyright"},
	} {
		content := []byte(f.text)
		if f.from != "" {
			var err error
			if content, err = os.ReadFile(filepath.Join(stage, f.from)); err != nil {
				return nil, err
			}
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.path, Mode: f.mode, Uid: f.user, Gid: f.user,
			Size: int64(len(content)), ModTime: p.at}
		if strings.HasSuffix(f.path, "/") {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), w.Close()
}

// roots are the certificates that Mozilla trusts, by the pinned version of their
// module. One that it trusts on a condition is left out: a file cannot say it.
func roots() string {
	var b strings.Builder
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return b.String()
}

// image writes the image of all architectures as an OCI layout in a tar file. Engines
// load such a file if it names one image; so the bills of materials, which refer to
// the images, are beside them in the one index.
func (p *plan) image() error {
	dir, err := os.MkdirTemp("", "graphrelay-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Annotations: p.labels()}
	var bills []v1.Descriptor
	for _, i := range p.images {
		config, errConfig := i.image.ConfigFile()
		subject, errSubject := partial.Descriptor(i.image)
		if err := errors.Join(errConfig, errSubject, path.WriteImage(i.image)); err != nil {
			return err
		}
		d := v1.Descriptor{MediaType: subject.MediaType, Size: subject.Size, Digest: subject.Digest}
		bill, err := p.attach(path, d, i.bill)
		if err != nil {
			return err
		}
		bills = append(bills, bill)
		d.Platform = config.Platform()
		index.Manifests = append(index.Manifests, d)
	}
	index.Manifests = append(index.Manifests, bills...)
	d, err := put(path, index, index.MediaType)
	if err != nil {
		return err
	}
	d.Annotations = map[string]string{"org.opencontainers.image.ref.name": "graphrelay:" + p.tag()}
	if err := path.AppendDescriptor(d); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(p.out, fmt.Sprintf("graphrelay_%s.oci.tar", p.version)))
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Printf("%s %s\n", f.Name(), d.Digest)
	return errors.Join(p.tar(f, dir), f.Close())
}

// attach writes a bill of materials as an artifact that refers to its subject. It is
// for no platform, so that no engine runs it.
func (p *plan) attach(path layout.Path, subject v1.Descriptor, bill []byte) (v1.Descriptor, error) {
	none, errNone := put(path, json.RawMessage("{}"), "application/vnd.oci.empty.v1+json")
	content, errContent := put(path, json.RawMessage(bill), cycloneDX)
	if err := errors.Join(errNone, errContent); err != nil {
		return v1.Descriptor{}, err
	}
	const created = "org.opencontainers.image.created"
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: cycloneDX, Config: none,
		Layers: []v1.Descriptor{content}, Subject: &subject,
		Annotations: map[string]string{created: p.labels()[created]}}
	d, err := put(path, m, m.MediaType)
	d.ArtifactType, d.Platform = cycloneDX, &v1.Platform{OS: "unknown", Architecture: "unknown"}
	return d, err
}

// put writes a document as a blob.
func put(path layout.Path, document any, kind types.MediaType) (v1.Descriptor, error) {
	text, err := json.Marshal(document)
	if err != nil {
		return v1.Descriptor{}, err
	}
	digest, size, err := v1.SHA256(bytes.NewReader(text))
	if err != nil {
		return v1.Descriptor{}, err
	}
	return v1.Descriptor{MediaType: kind, Digest: digest, Size: size},
		path.WriteBlob(digest, io.NopCloser(bytes.NewReader(text)))
}

// tar packs a folder in the order of its names.
func (p *plan) tar(to io.Writer, dir string) error {
	w := tar.NewWriter(to)
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		h := &tar.Header{Typeflag: tar.TypeReg, Name: filepath.ToSlash(name), Mode: 0o644, ModTime: p.at}
		if d.IsDir() {
			h.Typeflag, h.Name, h.Mode = tar.TypeDir, h.Name+"/", 0o755
			return w.WriteHeader(h)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		h.Size = int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	})
	return errors.Join(err, w.Close())
}
