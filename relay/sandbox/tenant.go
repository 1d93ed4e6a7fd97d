package sandbox

import (
	"crypto/subtle"
	"crypto/x509"
	"maps"
	"slices"
	"strings"
	"sync"
)

// tenant is what can change in the imitated tenant while the double runs.
type tenant struct {
	mu        sync.RWMutex
	secret    string
	keys      []Key
	keyRules  KeyRules
	logins    int             // with a certificate
	mailboxes map[string]bool // nil: every address
	allowed   map[string]bool // nil: all that exist
	sendAs    map[string]map[string]bool
	roles     []string
	granted   []string
	noSMTP    bool            // SMTP AUTH is off for the tenant
	smtp      map[string]bool // what mailboxes have set in its place

	access   []planned // oldest first; nil: the simple mode of Options
	consents []string  // in Entra now, beside access
}

func newTenant(o Options) *tenant {
	t := &tenant{secret: o.Secret, keys: newKeys(o.Certificates), roles: slices.Clone(o.Roles),
		granted: slices.Clone(o.Granted), sendAs: map[string]map[string]bool{}, smtp: map[string]bool{}}
	if len(o.Mailboxes) > 0 {
		t.mailboxes = addressSet(o.Mailboxes)
	}
	if len(o.Allowed) > 0 {
		t.allowed = addressSet(o.Allowed)
	}
	for mailbox, addresses := range o.SendAs {
		t.sendAs[fold(mailbox)] = addressSet(addresses)
	}
	return t
}

// fold makes addresses comparable: Exchange compares both sides of the @
// without regard to case.
func fold(address string) string { return strings.ToLower(address) }

func addressSet(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, address := range list {
		set[fold(address)] = true
	}
	return set
}

// SetAllowed changes which mailboxes the application may send as, at once
// (the real service takes up to two hours). nil allows all that exist, an
// empty list none.
func (d *Double) SetAllowed(mailboxes []string) {
	d.tenant.change(func(t *tenant) { t.allowed = setOrNil(mailboxes) })
}

// SetMailboxes changes which mailboxes exist: nil every address, an empty list
// none.
func (d *Double) SetMailboxes(mailboxes []string) {
	d.tenant.change(func(t *tenant) { t.mailboxes = setOrNil(mailboxes) })
}

// named reports whether an address is among the mailboxes that somebody listed.
func (t *tenant) named(address string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.mailboxes[address]
}

// SetSendAs says which further addresses the From of a mailbox may carry.
func (d *Double) SetSendAs(mailbox string, addresses ...string) {
	d.tenant.change(func(t *tenant) { t.sendAs[fold(mailbox)] = addressSet(addresses) })
}

// SetSecret replaces the client secret; "" leaves only certificates.
func (d *Double) SetSecret(secret string) {
	d.tenant.change(func(t *tenant) { t.secret = secret })
}

// SetCertificates replaces the registered certificates.
func (d *Double) SetCertificates(certs ...*x509.Certificate) {
	d.tenant.change(func(t *tenant) { t.keys = newKeys(certs) })
}

// SetRoles changes the roles claim of the tokens issued from now on.
func (d *Double) SetRoles(roles ...string) {
	d.tenant.change(func(t *tenant) { t.roles = slices.Clone(roles) })
}

// SetGranted changes what the application may do in mailboxes beside sending,
// at once: see Options.Granted.
func (d *Double) SetGranted(permissions ...string) {
	d.tenant.change(func(t *tenant) { t.granted = slices.Clone(permissions) })
}

func setOrNil(list []string) map[string]bool {
	if list == nil {
		return nil
	}
	return addressSet(list)
}

func (t *tenant) change(f func(*tenant)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(t)
}

func (t *tenant) currentSecret() string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.secret
}

func (t *tenant) currentRoles() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.access != nil {
		return t.consents
	}
	return t.roles
}

// secretMatches compares in constant time; an empty secret never matches.
func (t *tenant) secretMatches(given string) bool {
	want := t.currentSecret()
	return want != "" && subtle.ConstantTimeCompare([]byte(want), []byte(given)) == 1
}

// exists reports whether mailbox (folded) is one of the tenant.
func (t *tenant) exists(mailbox string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.mailboxes == nil {
		return strings.Contains(mailbox, "@")
	}
	return t.mailboxes[mailbox]
}

// permits reports whether the application may send as mailbox (folded).
func (t *tenant) permits(mailbox string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.allowed == nil || t.allowed[mailbox]
}

// has reports whether the application has one of the permissions, by a role of
// Exchange or by consent.
func (t *tenant) has(anyOf ...string) bool {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.ContainsFunc(anyOf,
		func(p string) bool { return slices.Contains(t.granted, p) || slices.Contains(t.roles, p) })
}

// maySay reports whether a message sent through mailbox (folded) may carry
// address in From.
func (t *tenant) maySay(mailbox, address string) bool {
	address = fold(address)
	t.mu.RLock()
	defer t.mu.RUnlock()
	return address == mailbox || t.sendAs[mailbox][address]
}

// denied is a mailbox that exists and that the application may not use; "" where
// it may use all.
func (t *tenant) denied() string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.allowed == nil {
		return ""
	}
	candidates := []string{"denied@contoso.com"} // every address exists
	if t.mailboxes != nil {
		candidates = slices.Sorted(maps.Keys(t.mailboxes))
	}
	for _, m := range candidates {
		if !t.allowed[m] {
			return m
		}
	}
	return ""
}

// senders lists the mailboxes worth naming in an example configuration.
func (t *tenant) senders() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if len(t.allowed) > 0 {
		return slices.Sorted(maps.Keys(t.allowed))
	}
	return slices.Sorted(maps.Keys(t.mailboxes))
}
