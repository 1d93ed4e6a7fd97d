package renewal

import (
	"errors"
	"os"
	"slices"
	"testing"

	"graphrelay/relay/sandbox"
	"graphrelay/relay/setup/certificate"
)

// Each file of a renewal is lost, cut or replaced at each stage. The certificate in force
// logs in all the time and is not removed before its end; the renewal comes to its end,
// with a new key pair where the one on disk is no longer the one that it made; and there
// is an alarm unless nothing of importance is gone.
func TestLostFilesOfARenewal(t *testing.T) {
	cut := func(data []byte) []byte { return data[:len(data)/2] }
	stages := map[string]func(x *tenanted){
		"made":         func(x *tenanted) { x.until(Made) },
		"added unseen": (*tenanted).addedUnseen,
		"trying":       func(x *tenanted) { x.until(Trying); x.step(); x.step() },
		"switched":     func(x *tenanted) { x.until(Switched) },
	}
	for stage, reach := range stages {
		for damage, change := range map[string]func([]byte) []byte{"lost": nil, "cut": cut, "replaced": nil} {
			for _, which := range []string{"next", "previous", "note", "all"} {
				if which == "previous" && stage != "switched" || which == "all" && damage != "lost" {
					continue // there is none, and one of them is enough
				}
				t.Run(stage+": "+which+" "+damage, func(t *testing.T) {
					x := newTenanted(t)
					reach(x)
					l := &loss{x: x, which: which, stranger: x.stranger()}
					l.damage(change, damage == "replaced")
					l.live()
					told := which == "next" && stage != "switched" || which == "note" && damage != "replaced"
					if told && !l.alarmed {
						t.Error("nobody is told")
					}
				})
			}
		}
	}
}

// loss is a damage at a stage, and what came of it.
type loss struct {
	x        *tenanted
	which    string
	stranger certificate.Pair
	alarmed  bool
}

// step takes one step, at the time when it is due.
func (x *tenanted) step() {
	x.t.Helper()
	_, next, err := x.roller().Step(x.t.Context())
	if err != nil {
		x.t.Fatal(err)
	}
	if x.now.Before(next) {
		x.now = next
	}
}

// until takes the steps until a stage begins.
func (x *tenanted) until(s Stage) {
	x.t.Helper()
	for range 60 {
		if n, _ := ReadNote(x.file); n.Stage == s {
			return
		}
		x.step()
	}
	x.t.Fatalf("%s does not begin", s)
}

// addedUnseen is the stage at which the certificate was added, and the program killed
// before it could remember so.
func (x *tenanted) addedUnseen() {
	x.until(Made)
	note, err := os.ReadFile(NotePath(x.file))
	x.step()
	n, noteErr := ReadNote(x.file)
	if err := errors.Join(err, noteErr); err != nil || n.Stage != Trying {
		x.t.Fatal(n.Stage, err)
	}
	x.put(NotePath(x.file), note)
	before, _ := ReadNote(x.file)
	before.Asked = true
	if err := folderOf(x.file).save(before); err != nil {
		x.t.Fatal(err)
	}
}

// stranger is another pair, which nobody has added.
func (x *tenanted) stranger() certificate.Pair {
	p, err := x.pair(certificate.Request{Name: "other", Days: 300, Now: x.now})
	if err != nil {
		x.t.Fatal(err)
	}
	return p
}

func (l *loss) damage(change func([]byte) []byte, replace bool) {
	f := folderOf(l.x.file)
	for path, name := range map[string]string{f.next: "next", f.previous: "previous", f.note: "note"} {
		data, err := os.ReadFile(path)
		if err != nil || l.which != name && l.which != "all" {
			continue
		}
		switch {
		case replace && path == f.note:
			l.x.put(path, []byte(`{"stage":"made","new":{"thumbprint":"00"}}`))
		case replace:
			l.x.put(path, l.stranger.PEM)
		case change == nil:
			l.x.remove(path)
		default:
			l.x.put(path, change(data))
		}
	}
}

// live takes the steps until the renewal has come to its end.
func (l *loss) live() {
	x, ended, last := l.x, 0, ""
	before := x.d.Keys()
	for i := 0; i < 80 && ended < 4; i++ { // an unused certificate is removed after the end
		x.step()
		l.alarmed = l.alarmed || x.alarm() != ""
		n, _ := ReadNote(x.file)
		file, _ := Examine(x.file)
		if n.Stage == Idle && file.Thumbprint != before[0].Thumbprint {
			ended++
		}
		if file.Thumbprint == last {
			continue
		}
		last = file.Thumbprint
		if err := x.g.Login(x.t.Context(), x.file); err != nil {
			x.t.Fatalf("step %d: no mail can be sent: %v", i, err)
		}
	}
	n, err := ReadNote(x.file)
	file, fileErr := Examine(x.file)
	if err := errors.Join(err, fileErr); err != nil || n.Stage != Idle || file.Thumbprint == before[0].Thumbprint ||
		n.Lost != "" || x.alarm() != "" {
		x.t.Errorf("it did not come to its end: %v, %s, %+v", err, x.alarm(), n)
	}
	for i, k := range x.d.Keys() {
		if i == 0 && k.Thumbprint != before[0].Thumbprint || k.Thumbprint == l.stranger.Info.SHA1 {
			x.t.Errorf("the app has other certificates: %+v", x.d.Keys())
		}
	}
	if n := len(x.d.Keys()); n > 3 {
		x.t.Errorf("%d certificates are left in the app", n)
	}
}

// A pair that is lost again and again does not fill the app with certificates.
func TestAPairThatIsLostAgainAndAgain(t *testing.T) {
	x := newTenanted(t)
	for end := x.now.AddDate(0, 0, 10); x.now.Before(end); x.step() {
		if n, _ := ReadNote(x.file); n.Stage == Trying {
			x.remove(folderOf(x.file).next)
		}
	}
	if n := len(x.d.Keys()); n < 3 || n > 14 {
		t.Errorf("%d certificates were added in ten days", n)
	}
	if x.alarm() == "" {
		t.Error("nobody is told")
	}
}

// A certificate that was added and lost before it came into force is removed, once mail
// was sent with another one; one of somebody else stays.
func TestALostCertificateIsRemoved(t *testing.T) {
	x := newTenanted(t)
	x.until(Trying)
	lost, _ := Examine(folderOf(x.file).next)
	x.remove(folderOf(x.file).next)
	for range 60 {
		x.step()
	}
	if slices.ContainsFunc(x.d.Keys(), func(k sandbox.Key) bool { return k.Thumbprint == lost.Thumbprint }) ||
		len(x.d.Keys()) != 2 {
		t.Errorf("%s is left: %+v", lost.Thumbprint, x.d.Keys())
	}
}
