package renewal

import (
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"graphrelay/relay/pacing"
	"graphrelay/relay/setup/certificate"
	"graphrelay/relay/text"
)

// Tenant is Entra and Graph. Each call logs in anew with the pair in a file. An error
// that is a *Refusal is their answer; any other one says nothing.
type Tenant interface {
	Login(ctx context.Context, pair string) error
	Keys(ctx context.Context, pair string) ([]Key, error) // takes a permission that the app mostly lacks
	Add(ctx context.Context, pair string, cer []byte) (Key, error)
	Remove(ctx context.Context, pair, keyID string) error
}

// Service is the running relay.
type Service interface {
	Sent(ctx context.Context, thumbprint string) bool // it has sent mail with a token of this certificate
	Verify(ctx context.Context) error                 // nil: the app is refused where it must be
}

// Refusal is an answer of Entra or Graph that is not about the network.
type Refusal struct {
	Code  string
	Cause text.Cause
}

func (r *Refusal) Error() string { return r.Cause.String() }

// absent reports whether there is nothing to remove.
func (r *Refusal) absent() bool {
	return r.Code == "Request_ResourceNotFound" || strings.Contains(r.Cause.Detail, "No credentials found")
}

// Config is what a Roller works with.
type Config struct {
	Identity string
	File     string // certificate_file
	Host     string // relays that share a certificate begin at different times
	Tenant   Tenant
	Service  Service
	Force    bool // begin now, not when it is due
	Now      func() time.Time
	Log      *slog.Logger
	New      func(certificate.Request) (certificate.Pair, error)
}

// Roller renews the certificate of one identity.
type Roller struct {
	Config
	folder folder
}

// New makes a Roller.
func New(c Config) *Roller {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.New == nil {
		c.New = certificate.New
	}
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler)).With("identity", c.Identity)
	return &Roller{c, folderOf(c.File)}
}

// busy is how soon to look again while another program is at work.
const busy = time.Minute

// Run takes every step when it is due, until ctx ends. Where the folder is not
// writable it does nothing: `graphrelay cert roll` does it then.
func (r *Roller) Run(ctx context.Context) {
	for {
		wait := retryPause
		if Writable(r.File) == nil {
			_, next, err := r.Step(ctx)
			if wait = next.Sub(r.Now()); err != nil {
				r.Log.Error("cannot renew the certificate; the present one stays in force", "error", err)
				wait = retryPause
			}
		}
		if pacing.Sleep(ctx, min(max(wait, time.Second), retryPause)) != nil {
			return
		}
	}
}

// Step takes the step that is due now, if there is one, and says when to call it
// again. An error is about this host: nothing was done, or its note is lost and it
// will be repeated. What Entra or Graph refuse is in the note.
func (r *Roller) Step(ctx context.Context) (Action, time.Time, error) {
	unlock, ok, err := r.folder.lock()
	if err != nil || !ok {
		return Wait, r.Now().Add(busy), err
	}
	defer unlock()
	later := r.Now().Add(retryPause)
	n, damaged, err := r.folder.read()
	if err != nil {
		return Wait, later, err
	}
	file, err := Examine(r.folder.file)
	if err != nil {
		return Wait, later, err
	}
	f := Facts{Now: r.Now(), File: file, Force: r.Force, Stagger: r.stagger(), Damaged: damaged}
	f.Next, _ = Examine(r.folder.next)
	f.Kept, _ = Examine(r.folder.previous)
	if n.Stage == Idle && !n.resumes(f) {
		if err := r.folder.tidy(); err != nil {
			return Wait, later, err
		}
	}
	if n.Stage == Switched || len(n.Retired) > 0 {
		f.Sent = r.Service.Sent(ctx, file.Thumbprint)
	}
	action, next := Next(n, f)
	if action == Wait {
		return Wait, next, nil
	}
	return action, f.Now, r.take(ctx, action, n, f)
}

// stagger is the same at each step.
func (r *Roller) stagger() time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(r.Host))
	return time.Duration(h.Sum32()%(24*60)) * time.Minute
}

// take takes one step and remembers it.
func (r *Roller) take(ctx context.Context, a Action, n Note, f Facts) error {
	asked := n
	if asked.Asked = n.Asked || a == Add; asked.Asked != n.Asked { // before anybody can know the certificate
		if err := r.folder.save(asked); err != nil {
			return err
		}
	}
	result := r.do(ctx, a, n, f)
	if ctx.Err() != nil && result.Err != nil {
		return ctx.Err()
	}
	after := asked.After(a, result, f)
	r.report(n, after)
	r.Force = r.Force && after.Stage != Trying // it has begun
	return r.folder.save(after)
}

// report logs the new events.
func (r *Roller) report(before, after Note) {
	fresh := after.Events
	if i := len(before.Events); len(before.Events) < keptEvents && i <= len(fresh) {
		fresh = fresh[i:]
	} else {
		fresh = fresh[max(len(fresh)-3, 0):]
	}
	for _, e := range fresh {
		if e.Error != "" {
			r.Log.Warn("certificate renewal", "event", e.What, "error", e.Error)
		} else {
			r.Log.Info("certificate renewal", "event", e.What)
		}
	}
}

// do takes one step.
func (r *Roller) do(ctx context.Context, a Action, n Note, f Facts) Result {
	var (
		k   Key
		err error
	)
	switch a {
	case Look:
		k, err = r.stranger(ctx, n, f)
	case Make:
		k, err = r.makePair(n, f)
	case Add:
		k, err = r.add(ctx, n)
	case Try:
		pair := r.folder.next
		if n.Stage == Switched {
			pair = r.folder.file
		}
		err = r.Tenant.Login(ctx, pair)
	case Switch:
		err = r.folder.exchange(r.folder.next, r.folder.previous)
	case Restore:
		err = r.folder.exchange(r.folder.previous, r.folder.next)
	case Prove:
		err = r.Service.Verify(ctx)
	case Remove:
		return r.remove(ctx, n.Retired[n.removable(f)])
	}
	var refusal *Refusal
	refused := errors.As(err, &refusal)
	return Result{Err: err, Key: k, Refused: refused, Shorter: refused && refusal.Code == lifetimeCode}
}

// lifetimeCode is Graph's where a policy caps how long certificates live.
const lifetimeCode = "CredentialInvalidLifetimeAsPerAppPolicy"

// stranger is the youngest certificate that somebody else has added since this one
// became due.
func (r *Roller) stranger(ctx context.Context, n Note, f Facts) (youngest Key, _ error) {
	keys, err := r.Tenant.Keys(ctx, r.folder.file)
	for _, k := range keys {
		ours := k.Thumbprint == f.File.Thumbprint || k.Thumbprint == n.Current.Thumbprint ||
			slices.ContainsFunc(n.Retired, func(x Retired) bool { return x.Thumbprint == k.Thumbprint })
		if !ours && k.End.After(f.File.End) && k.Start.After(begins(f.File).AddDate(0, 0, -1)) &&
			k.Start.After(youngest.Start) {
			youngest = k
		}
	}
	return youngest, err
}

// makePair writes the next key pair beside the file, with the name and the lifetime
// of the present one.
func (r *Roller) makePair(n Note, f Facts) (Key, error) {
	data, err := os.ReadFile(r.folder.file)
	if err != nil {
		return Key{}, err
	}
	info, err := certificate.Read(data, "")
	if err != nil {
		return Key{}, err
	}
	days := min(max(f.File.days(), lifetimes[len(lifetimes)-1]), lifetimes[0])
	if n.Days > 0 {
		days = min(days, n.Days)
	}
	pair, err := r.New(certificate.Request{Name: cmp.Or(info.Name, "graphrelay"), Days: days, Bits: 3072, Now: f.Now})
	if err != nil {
		return Key{}, err
	}
	k := Key{Thumbprint: pair.Info.SHA1, Start: pair.Info.NotBefore, End: pair.Info.NotAfter}
	return k, r.folder.write(r.folder.next, pair.PEM)
}

// add adds the next certificate, unless an earlier try has done so without anybody
// having seen its answer.
func (r *Roller) add(ctx context.Context, n Note) (Key, error) {
	if n.Asked && r.Tenant.Login(ctx, r.folder.next) == nil {
		return r.find(ctx, n.New.Thumbprint), nil
	}
	data, err := os.ReadFile(r.folder.next)
	if err != nil {
		return Key{}, err
	}
	info, err := certificate.Read(data, "")
	if err != nil {
		return Key{}, err
	}
	k, err := r.Tenant.Add(ctx, r.folder.file, info.Cer)
	if err != nil && n.Asked {
		if found := r.find(ctx, n.New.Thumbprint); found.ID != "" {
			return found, nil
		}
	}
	return k, err
}

// find looks a certificate up in the app, where the app may read its registration.
func (r *Roller) find(ctx context.Context, thumbprint string) Key {
	keys, _ := r.Tenant.Keys(ctx, r.folder.file)
	for _, k := range keys {
		if k.Thumbprint == thumbprint {
			return k
		}
	}
	return Key{}
}

// remove removes a certificate from the app.
func (r *Roller) remove(ctx context.Context, x Retired) Result {
	id := cmp.Or(x.ID, r.find(ctx, x.Thumbprint).ID)
	if id == "" {
		return Result{Dropped: "its key ID is unknown; it logs nobody in, and can be removed in the app registration"}
	}
	err := r.Tenant.Remove(ctx, r.folder.file, id)
	var refusal *Refusal
	if errors.As(err, &refusal) && refusal.absent() {
		return Result{Dropped: "it was not there any more"}
	}
	return Result{Err: err, Refused: refusal != nil}
}
