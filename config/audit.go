package config

import "graphrelay/config/strict"

// Audit says how the restriction of the identities is watched while the relay runs.
type Audit struct {
	Every     strict.Duration `yaml:"every" default:"24h" range:"1m..30d"`
	OnFailure string          `yaml:"on_failure" default:"alarm" range:"alarm | stop"`
}

// checkDenied refuses a denied mailbox that the same identity must send as.
func (c *Config) checkDenied(s strict.Scope) {
	for i, id := range c.Identities {
		key := strict.Entry("identities", i, "denied_mailbox")
		if id.DeniedMailbox.IsZero() || !s.Sound("senders") || !s.Sound("mailboxes") {
			continue
		}
		for _, sender := range c.Senders {
			if box := sender.mailbox(); box.Equal(id.DeniedMailbox) && c.sendsFor(id.Name, box.Key()) {
				s.Fail(key, "is a mailbox that this identity sends as",
					"write another mailbox that exists, is licensed and belongs to no administrator")
				break
			}
		}
	}
}

// sendsFor reports whether an identity sends for a mailbox, before Mailboxes is
// complete.
func (c *Config) sendsFor(identity Name, mailbox string) bool {
	for _, m := range c.Mailboxes {
		if m.Address.Key() == mailbox && m.Identity != "" {
			return m.Identity == identity
		}
	}
	return len(c.Identities) == 1
}
