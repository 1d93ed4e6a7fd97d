package renewal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"graphrelay/relay/setup/certificate"
	"graphrelay/relay/text"
)

// folder is where the certificate file is, with what a renewal keeps beside it.
type folder struct {
	file, next, previous, note string
}

// folderOf follows symbolic links: the file that is replaced is the real one.
func folderOf(file string) folder {
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	base := strings.TrimSuffix(file, filepath.Ext(file))
	return folder{file, base + "-renewal-next.pem", base + "-renewal-previous.pem", base + "-renewal.json"}
}

// NotePath is where the note of a certificate file is kept.
func NotePath(file string) string { return folderOf(file).note }

// ReadNote reads the note beside a certificate file; the zero Note without one.
func ReadNote(file string) (Note, error) {
	f := folderOf(file)
	n, damaged, err := f.read()
	if damaged != "" {
		err = f.unread(damaged)
	}
	return n, err
}

// read reads the note, or says why what is in its file is none.
func (f folder) read() (n Note, damaged string, _ error) {
	data, err := os.ReadFile(f.note)
	if errors.Is(err, fs.ErrNotExist) {
		return Note{}, "", nil
	}
	if err != nil {
		return Note{}, "", f.unread(err.Error())
	}
	if err := json.Unmarshal(data, &n); err != nil {
		return Note{}, err.Error(), nil
	}
	return n, "", nil
}

func (f folder) unread(why string) error {
	return text.Cause{Headline: "The note of the certificate's renewal cannot be read",
		Remedy: "let the service read it; graphrelay cert roll replaces a damaged one",
		Detail: text.Line(f.note + ": " + why)}
}

// Writable reports whether this process can replace the certificate file.
func Writable(file string) error {
	dir := filepath.Dir(folderOf(file).file)
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return text.Cause{Headline: "The folder of the certificate is not writable for this user",
			Remedy: "let root renew it: systemctl enable --now graphrelay-cert-roll.timer",
			Detail: dir + ": " + err.Error()}
	}
	return nil
}

// Examine reads a certificate file and says why it cannot renew itself, if so.
func Examine(file string) (Key, error) {
	const remedy = "renew it by hand (graphrelay cert renew), or set certificate_renewal: off"
	data, err := os.ReadFile(file)
	if err != nil {
		return Key{}, text.Cause{Headline: "Certificate file cannot be read", Remedy: "correct its path or mode",
			Detail: err.Error()}
	}
	info, err := certificate.Read(data, "")
	cause := text.Cause{Remedy: remedy}
	switch {
	case err != nil:
		cause.Headline, cause.Detail = "Certificate file cannot be read", text.Line(err.Error())
	case info.Form != "PEM":
		cause.Headline = "Certificate file is no PEM file, so it cannot renew itself"
	case !info.HasKey || !info.KeyFits:
		cause.Headline = "Certificate file lacks the key of its certificate"
	case info.Issued:
		cause.Headline = "Certificate was issued by an authority, so it cannot renew itself"
	default:
		return Key{Thumbprint: info.SHA1, Start: info.NotBefore, End: info.NotAfter}, nil
	}
	return Key{}, cause
}

// lock keeps other programs out until unlock is called; false if one is at work.
func (f folder) lock() (unlock func(), ok bool, err error) {
	dir, err := os.Open(filepath.Dir(f.file))
	if err != nil {
		return nil, false, err
	}
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = dir.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = nil
		}
		return nil, false, err
	}
	return func() { _ = dir.Close() }, true, nil
}

// save writes the note durably.
func (f folder) save(n Note) error {
	data, err := json.MarshalIndent(n, "", " ")
	if err != nil {
		return err
	}
	return f.write(f.note, append(data, '\n'))
}

// write puts a file in place of another one, with owner and mode of the certificate
// file.
func (f folder) write(path string, data []byte) error {
	like, err := os.Stat(f.file)
	if err != nil {
		return err
	}
	t, err := os.CreateTemp(filepath.Dir(f.file), ".renewal-*")
	if err != nil {
		return err
	}
	defer os.Remove(t.Name())
	err = keepOwner(t, like)
	if err == nil {
		_, err = t.Write(data)
	}
	if err == nil {
		err = t.Sync()
	}
	if err = errors.Join(err, t.Close()); err != nil {
		return err
	}
	return f.rename(t.Name(), path)
}

// keepOwner gives a file owner and mode of another one; the mode last, which a
// change of owner may narrow.
func keepOwner(t *os.File, like os.FileInfo) error {
	if sys, ok := like.Sys().(*syscall.Stat_t); ok {
		if err := t.Chown(int(sys.Uid), int(sys.Gid)); err != nil {
			return fmt.Errorf("cannot keep the owner of the certificate file; let root renew it: "+
				"systemctl enable --now graphrelay-cert-roll.timer (%w)", err)
		}
	}
	return t.Chmod(like.Mode().Perm())
}

func (f folder) rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// exchange puts the pair in from into the certificate file, and that of the file
// into kept. It may be killed anywhere and repeated: first kept has a copy, then
// the file is replaced at one stroke.
func (f folder) exchange(from, kept string) error {
	coming, err := Examine(from)
	if err != nil {
		return err
	}
	if present, err := Examine(f.file); err == nil && present.Thumbprint == coming.Thumbprint {
		return nil
	}
	old, err := os.ReadFile(f.file)
	if err != nil {
		return err
	}
	next, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := f.write(kept, old); err != nil {
		return err
	}
	return f.write(f.file, next)
}

// tidy removes what no renewal needs any more.
func (f folder) tidy() error {
	var all []error
	for _, path := range []string{f.next, f.previous} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// days is how long a certificate lives.
func (k Key) days() int { return int(k.End.Sub(k.Start).Round(24*time.Hour).Hours() / 24) }
