package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"graphrelay/config/strict"
)

// packaged is the folder of the packages for the configuration and its secrets.
const packaged = "/etc/graphrelay"

// Warnings are what works, but not for long, not for much mail, or not as wished.
func Warnings(c *Config) (found []Problem) {
	for i, sender := range c.Senders {
		if domain := sender.Address.Domain(); strings.HasSuffix("."+domain, ".onmicrosoft.com") {
			found = append(found, c.places.Problem(strict.Entry("senders", i, "address"),
				"is an address under onmicrosoft.com: Exchange Online lets all such senders of a tenant together "+
					"reach 100 external recipients in 24 hours, and refuses more with 550 5.7.236",
				"send from a domain of your own, which you add to the tenant"))
		}
	}
	if a := c.Audit.Canary; !a.IsZero() && !slices.ContainsFunc(c.Senders, func(sender Sender) bool {
		return sender.Address.Domain() == a.Domain() || sender.Mailbox.Domain() == a.Domain()
	}) {
		found = append(found, c.places.Problem("audit.canary", "is in a domain in which nobody sends",
			"write a mailbox of the same tenant: the app can read no other"))
	}
	return append(append(found, c.sharedLocalSender()...), c.files(packaged)...)
}

// sharedLocalSender finds devices whose address is also that of cron and of other
// programs on this host: nobody could tell their mail apart.
func (c *Config) sharedLocalSender() (found []Problem) {
	for i, client := range c.Clients {
		device := len(client.Networks) == 0 ||
			slices.ContainsFunc(client.Networks, func(n Network) bool { return !n.Loopback() })
		j := slices.IndexFunc(client.Senders, c.DefaultSender.Equal)
		if !c.LocalClient || !device || j < 0 {
			continue
		}
		found = append(found, c.places.Problem(strict.Indexed(strict.Entry("clients", i, "senders"), j),
			"is also the address of mail from programs on this host, such as cron",
			"write default_sender with an address of their own, and add it to senders"))
	}
	return found
}

// files judges the modes in the folder of the configuration: every user may enter
// it and read sendmail.conf, but nothing else that could be a secret.
func (c *Config) files(folder string) (found []Problem) {
	conf := filepath.Join(folder, "sendmail.conf")
	_ = filepath.WalkDir(folder, func(path string, e fs.DirEntry, _ error) error {
		info, err := os.Stat(path)
		if err != nil {
			return nil //nolint:nilerr // what this user cannot see, others cannot read either
		}
		var wrong, remedy string
		open := info.Mode()&0o004 != 0
		switch {
		case path == folder && info.Mode()&0o001 == 0:
			wrong, remedy = "is closed to other users, whose sendmail needs sendmail.conf in it", "chmod 755 "+path
		case e.IsDir() && info.Mode()&0o001 == 0:
			return fs.SkipDir
		case path == conf && !open:
			wrong, remedy = "is closed to other users, so their sendmail ignores it", "chmod 644 "+path
		case info.Mode().IsRegular() && open && path != conf && !c.isPublic(path):
			wrong, remedy = "can be read by every user of the host", "chgrp graphrelay "+path+" && chmod 640 "+path
		default:
			return nil
		}
		found = append(found, Problem{File: path, Wrong: wrong + mode(info), Remedy: "run: " + remedy})
		return nil
	})
	return found
}

// isPublic reports whether a file is a certificate without its key.
func (c *Config) isPublic(path string) bool {
	return filepath.Ext(path) == ".cer" || // `graphrelay cert new` makes it to be uploaded
		c.SMTP.TLS != nil && c.SMTP.TLS.CertificateFile == Path(path) ||
		slices.ContainsFunc(c.Identities, func(id Identity) bool { return id.CAFile == Path(path) })
}
