package renewal

import (
	"fmt"
	"slices"
	"time"

	"graphrelay/relay/text"
)

// What a renewal takes its time for.
const (
	margin       = 30 * 24 * time.Hour // before the end it begins; a third of a short life
	logins       = 12                  // that must succeed in a row before the switch
	loginPause   = 5 * time.Minute
	retryPause   = time.Hour
	strangerRest = 3 * 24 * time.Hour // so long a certificate that somebody else has just added goes first
	giveUp       = 2 * 24 * time.Hour // of refused logins; then another pair is made
	checkPause   = time.Hour          // between logins with the new certificate, until mail was sent
	tolerated    = 3                  // refusals in a row before the old certificate is put back
	lostPause    = 24 * time.Hour     // before a pair is added in the place of one that was lost, from the second on
)

// Action is what is to be done next.
type Action string

// The actions. None of them needs another one to have been seen to its end.
const (
	Wait     Action = "wait"
	Look     Action = "look for other new certificates"
	Make     Action = "make a key pair"
	Add      Action = "add the certificate to the app"
	Try      Action = "log in with the new certificate"
	Switch   Action = "put the new certificate in force"
	Restore  Action = "put the old certificate in force again"
	Prove    Action = "verify the app's restriction"
	Remove   Action = "remove a certificate from the app"
	CatchUp  Action = "take note of the certificate in the file"
	HandOver Action = "leave the certificate to its administrator"
	Resume   Action = "continue from the files, because the note of the renewal was lost"
)

// Facts are what the next action depends on, beside the note.
type Facts struct {
	Now   time.Time
	File  Key  // the certificate in the file
	Next  Key  // the one in the file of the next pair; zero if it is lost or damaged
	Kept  Key  // the one in the file of the pair before; zero if it is lost or damaged
	Sent  bool // the service has logged in with it and sent mail
	Force bool // the administrator wants it now

	Damaged string // why the note cannot be read, which is then blank

	Stagger time.Duration // how much later than others with the same certificate; less than a day
}

// begins is when the certificate in the file is due.
func begins(k Key) time.Time {
	return k.End.Add(-min(margin, k.End.Sub(k.Start)/3))
}

// Next says what to do now. With Wait it says until when nothing is to be done. It
// is pure.
func Next(n Note, f Facts) (Action, time.Time) {
	retry := clamp(n.Retry, f.Now, 7*24*time.Hour)
	if n.resumes(f) {
		return Resume, f.Now
	}
	switch n.Stage {
	case Made, Trying:
		if f.File.Thumbprint == n.New.Thumbprint {
			return CatchUp, f.Now
		}
		if f.File.Thumbprint != n.Old.Thumbprint {
			return HandOver, f.Now
		}
	case Switched:
		if f.File.Thumbprint == n.Old.Thumbprint {
			return CatchUp, f.Now
		}
		if f.File.Thumbprint != n.New.Thumbprint {
			return HandOver, f.Now
		}
	}
	if retry.After(f.Now) {
		return Wait, retry
	}
	switch n.Stage {
	case Made, Trying:
		if f.Next.Thumbprint != n.New.Thumbprint || f.Next.Thumbprint == "" {
			return Make, f.Now
		}
		if n.Stage == Made {
			return Add, f.Now
		}
		return nextTry(n, f)
	case Switched:
		return nextProof(n, f)
	}
	return nextIdle(n, f)
}

func nextIdle(n Note, f Facts) (Action, time.Time) {
	if n.removable(f) >= 0 {
		return Remove, f.Now
	}
	due := begins(n.known(f.File)).Add(f.Stagger)
	switch {
	case f.Force:
	case f.Now.Before(due):
		return Wait, n.nextRemoval(f, due)
	case !f.Now.Before(f.File.End):
		return Wait, f.Now.Add(retryPause) // too late: nobody can prove anything with it
	}
	old := f.Now.Sub(n.Looked) >= 6*time.Hour || n.Looked.After(f.Now)
	if old || n.Looked.Before(due) && !f.Force {
		return Look, f.Now
	}
	if s := n.Stranger; s.Thumbprint != "" && !f.Force && f.File.End.Sub(f.Now) > strangerRest {
		if until := s.Start.Add(strangerRest); until.After(f.Now) {
			return Wait, clamp(until, f.Now, 6*time.Hour)
		}
	}
	return Make, f.Now
}

func nextTry(n Note, f Facts) (Action, time.Time) {
	over := !f.Now.Before(f.File.End) // then the new one cannot be worse
	if n.Logins >= logins || over && n.Logins > 0 {
		return Switch, f.Now
	}
	if next := clamp(n.Tried.Add(loginPause), f.Now, loginPause); next.After(f.Now) {
		return Wait, next
	}
	return Try, f.Now
}

// nextProof is for the time after the switch: mail must have been sent, then the
// restriction is verified; until then the new certificate is watched.
func nextProof(n Note, f Facts) (Action, time.Time) {
	if n.Refused >= tolerated && f.Now.Before(n.Old.End) && f.Kept.Thumbprint == n.Old.Thumbprint {
		return Restore, f.Now
	}
	if f.Sent && n.Refused == 0 {
		return Prove, f.Now
	}
	pause := checkPause
	if n.Refused > 0 {
		pause = loginPause
	}
	if next := clamp(n.Tried.Add(pause), f.Now, pause); next.After(f.Now) {
		return Wait, clamp(next, f.Now, loginPause) // mail may be sent sooner
	}
	return Try, f.Now
}

// clamp bounds a time to wait for: a clock that was set back ends a pause.
func clamp(t, now time.Time, most time.Duration) time.Time {
	if t.After(now.Add(most)) {
		return now.Add(most)
	}
	return t
}

// known is the certificate with the end that Entra gave it.
func (n Note) known(file Key) Key {
	if file.Thumbprint == n.Current.Thumbprint && n.Current.End.Before(file.End) && !n.Current.End.IsZero() {
		file.End = n.Current.End
	}
	return file
}

// removable is the index of a certificate that may be removed now, -1 without any:
// one that expired after another one took its place, or one that never came into
// force. Never that of the file, and only while mail is sent with the one of the
// file.
func (n Note) removable(f Facts) int {
	return slices.IndexFunc(n.Retired, func(r Retired) bool {
		return r.Thumbprint != f.File.Thumbprint && f.Sent && (r.Unused || f.Now.After(r.End)) &&
			(r.Tried.IsZero() || r.Tried.After(f.Now) || f.Now.Sub(r.Tried) >= 24*time.Hour)
	})
}

// nextRemoval is when to look again, at the latest at due.
func (n Note) nextRemoval(f Facts, due time.Time) time.Time {
	for _, r := range n.Retired {
		next := r.End
		if r.Unused || f.Now.After(r.End) {
			next = f.Now.Add(retryPause)
		}
		if next.Before(due) {
			due = next
		}
	}
	return due
}

// Result is what came of an action.
type Result struct {
	Err     error
	Refused bool   // Entra or Graph said no; otherwise nothing is known
	Shorter bool   // because the certificate lives too long
	Key     Key    // that was made or added; of Look the youngest stranger
	Dropped string // why a certificate will not be removed
}

// lifetimes are tried one after the other where a policy caps them.
var lifetimes = []int{730, 365, 180, 90, 60}

// After is the note after an action. It is pure.
func (n Note) After(a Action, r Result, f Facts) Note {
	n.Tried = f.Now
	if r.Err != nil {
		return n.failed(a, r, f)
	}
	if n.Error != "" {
		n.event(f.Now, "works again: "+string(a), "")
	}
	n.Error, n.Failing, n.Refused, n.Retry = "", time.Time{}, 0, time.Time{}
	switch a {
	case Look:
		if n.Looked = f.Now; r.Key.Thumbprint != n.Stranger.Thumbprint && r.Key.Thumbprint != "" {
			n.event(f.Now, "somebody else has added the certificate "+r.Key.Thumbprint+": waiting", "")
		}
		n.Stranger = r.Key
	case Make:
		n.made(r.Key, f)
	case Add:
		n.enter(Trying, f.Now)
		n.New = merge(n.New, r.Key)
		n.event(f.Now, "added the certificate "+n.New.Thumbprint+" to the app", "")
	case Try:
		n.Logins++
		if n.Stage == Trying {
			n.event(f.Now, fmt.Sprintf("logged in with the new certificate, %d of %d", n.Logins, logins), "")
		}
	default:
		n.change(a, r, f)
	}
	return n
}

// made begins with a new key pair, also in the place of one that was lost.
func (n *Note) made(k Key, f Facts) {
	again := n.Lost == lostPair
	if n.Lost = ""; n.Stage != Idle {
		n.Lost = lostPair
		n.event(f.Now, "the key pair "+n.New.Thumbprint+" was lost or changed", "")
		if n.Asked {
			n.retire(n.New, true)
		}
	}
	n.enter(Made, f.Now)
	n.Old, n.New, n.Asked = n.known(f.File), k, false
	n.Old.ID = n.idOf(f.File.Thumbprint)
	n.event(f.Now, "made the key pair "+k.Thumbprint, "")
	if again && n.Lost != "" { // what is lost each time must not fill the app with certificates
		n.Retry = f.Now.Add(lostPause)
	}
}

// What may be lost, as headlines.
const (
	lostPair = "Key pair of the next certificate was lost from disk or changed"
	lostNote = "Note of the certificate's renewal was lost from disk or damaged"
)

// resumes reports whether a renewal was under way of which the note knows nothing.
func (n Note) resumes(f Facts) bool {
	stage, _, _ := f.found()
	return f.Damaged != "" || n.blank() && stage != Idle
}

// found is how far a renewal is by its files alone. A pair that has expired is none.
func (f Facts) found() (_ Stage, old, next Key) {
	other := func(k Key) bool {
		return k.Thumbprint != "" && k.Thumbprint != f.File.Thumbprint && f.Now.Before(k.End)
	}
	switch {
	case other(f.Kept):
		return Switched, f.Kept, f.File
	case other(f.Next):
		return Made, f.File, f.Next // perhaps added, and tried
	}
	return Idle, Key{}, Key{}
}

// change is After for what changes which certificate is in force.
func (n *Note) change(a Action, r Result, f Facts) {
	switch a {
	case Switch:
		n.enter(Switched, f.Now)
		n.event(f.Now, "put the certificate "+n.New.Thumbprint+" in force", "")
	case Restore:
		n.enter(Trying, f.Now)
		n.Doubt = "the new certificate was refused after the switch"
		n.event(f.Now, "put the certificate "+n.Old.Thumbprint+" in force again", n.Doubt)
	case CatchUp:
		next := Trying
		if f.File.Thumbprint == n.New.Thumbprint {
			next = Switched
		}
		n.enter(next, f.Now)
		n.event(f.Now, "found the certificate "+f.File.Thumbprint+" in force", "")
	case Prove:
		n.event(f.Now, "mail was sent with the certificate "+n.New.Thumbprint+", and verify found nothing wrong", "")
		n.retire(n.Old, false)
		n.Current, n.Old, n.New, n.Doubt, n.Lost = n.New, Key{}, Key{}, "", ""
		n.enter(Idle, f.Now)
	case HandOver:
		n.event(f.Now, "found another certificate in the file, "+f.File.Thumbprint+": this renewal ends", "")
		n.Doubt = ""
		n.abandon(f)
	case Resume:
		stage, old, next := f.found()
		n.event(f.Now, string(a), f.Damaged)
		n.enter(stage, f.Now)
		if n.Old, n.New, n.Asked = old, next, stage != Idle; n.Asked {
			n.Lost = lostNote
		}
	case Remove:
		i := n.removable(f)
		what := "removed the certificate " + n.Retired[i].Thumbprint + " from the app"
		if r.Dropped != "" {
			what = "left the certificate " + n.Retired[i].Thumbprint + " in the app"
		}
		n.Retired = slices.Delete(slices.Clone(n.Retired), i, i+1)
		n.event(f.Now, what, r.Dropped)
	}
}

// abandon ends a renewal without its certificate.
func (n *Note) abandon(f Facts) {
	if n.Asked {
		n.retire(n.New, n.Stage != Switched)
	}
	n.Old, n.New, n.Looked, n.Lost = Key{}, Key{}, time.Time{}, ""
	n.enter(Idle, f.Now)
}

// failed is the note after an action that failed: nothing changes that is in force.
func (n Note) failed(a Action, r Result, f Facts) Note {
	cause := text.Line(r.Err.Error())
	if a == Look { // that takes a permission which the app mostly lacks: no fault
		n.Looked, n.Stranger = f.Now, Key{}
		return n
	}
	if n.Error != cause {
		n.event(f.Now, string(a), cause)
	}
	if n.Error = cause; n.Failing.IsZero() {
		n.Failing = f.Now
	}
	switch a {
	case Try:
		n.Logins = 0
		if n.Refused++; !r.Refused {
			n.Refused = 0
		}
		if n.Stage == Trying && r.Refused && f.Now.Sub(n.Since) >= giveUp && f.Now.Before(f.File.End) {
			n.event(f.Now, "gave up the certificate "+n.New.Thumbprint, cause)
			failing := n.Failing
			n.abandon(f)
			n.Error, n.Failing = cause, failing
		}
	case Add:
		n.Retry = f.Now.Add(retryPause)
		if r.Shorter {
			n.shorten(f)
		}
	case Remove:
		n.Retired = slices.Clone(n.Retired)
		n.Retired[n.removable(f)].Tried = f.Now
	default:
		n.Retry = f.Now.Add(retryPause)
	}
	return n
}

// shorten plans the next shorter lifetime, if there is one.
func (n *Note) shorten(f Facts) {
	had := int(n.New.End.Sub(f.Now).Hours()/24) + 1
	for _, days := range lifetimes {
		if days < had && f.Now.AddDate(0, 0, days).After(n.Old.End) {
			n.Days = days
			n.event(f.Now, fmt.Sprintf("the tenant's policy allows less: trying a validity of %d days", days), "")
			n.Asked = false
			n.abandon(f)
			n.Looked = f.Now
			return
		}
	}
}

// idOf is the ID of a certificate that a renewal put in force.
func (n Note) idOf(thumbprint string) string {
	if n.Current.Thumbprint == thumbprint {
		return n.Current.ID
	}
	return ""
}

// merge takes what Entra says of a certificate.
func merge(k, said Key) Key {
	if k.ID = said.ID; !said.End.IsZero() && said.End.Before(k.End) {
		k.End = said.End
	}
	return k
}
