package e2e_test

import (
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"graphrelay/relay/e2e/harness"
)

// doorRow is a refusal of a client, and the change of the configuration that its
// remedy names, after which the client does the same with success. Where the client
// is to change, it does instead.
type doorRow struct {
	settings []harness.Setting
	refused  produce
	old, new string  // in the configuration
	corrects produce // = refused
}

// TestEveryRemedyAtTheDoor provokes refusals, reads the remedy where an administrator
// does, follows it, and wants the client accepted.
func TestEveryRemedyAtTheDoor(t *testing.T) {
	for remedy, row := range remediesAtTheDoor() {
		t.Run(remedy, func(t *testing.T) {
			t.Parallel()
			r, _ := start(t, row.settings...)
			f := &front{Relay: r, auth: r.Addr, authOnly: r.Addr, noLogin: r.Addr, authTLS: r.Addr}
			if got := row.refused(t, f); !strings.HasPrefix(got, "5") && !strings.HasPrefix(got, "4") {
				t.Fatalf("it is not refused: %q", got)
			}
			if row.old != "" {
				edit(t, r, row.old, row.new)
				reload(t, r)
			}
			again := row.corrects
			if again == nil {
				again = row.refused
			}
			if got := again(t, f); !strings.HasPrefix(got, "2") && !strings.HasPrefix(got, "3") {
				t.Errorf("after the change: %q", got)
			}
			if err := r.Stop(patience); err != nil { // which writes what was refused
				t.Error(err)
			}
			if out := command(t, r, "trace", "--since", "1h", "--json"); !strings.Contains(out, `"remedy": "`+remedy) {
				t.Errorf("trace does not say it: %s", out)
			}
		})
	}
}

func remediesAtTheDoor() map[string]doorRow {
	all := map[string]doorRow{}
	for _, some := range []map[string]doorRow{remediesOfRights(), remediesOfSenders(), remediesOfLetters()} {
		for text, row := range some {
			all[text] = row
		}
	}
	return all
}

// only is a relay for one client.
func only(client string) harness.Setting {
	return harness.With("top", "local_client: false", "clients: [{name: one, "+client+"}]")
}

func remediesOfRights() map[string]doorRow {
	hash, _ := bcrypt.GenerateFromPassword([]byte(goodPassword), bcrypt.DefaultCost) // of a constant it does not fail
	login := "username: scanner, password_hash: \"" + string(hash) + "\""
	plainText := harness.With("smtp", "    auth: required", "    plaintext_auth: [127.0.0.0/8]")
	return map[string]doorRow{
		"if it may send, add its address to networks of a client": {settings: []harness.Setting{
			only("networks: [127.0.0.9]")}, refused: at(plainPort, fromEverybody), old: "127.0.0.9", new: "127.0.0.1"},
		"find out who keeps connections open, or raise smtp.max_connections": {settings: []harness.Setting{
			harness.With("smtp", "max_connections: 2")}, refused: connects(3, plainPort, fromEverybody),
			old: "max_connections: 2", new: "max_connections: 200"},
		"let it close its connections, or raise max_connections of the client": {settings: []harness.Setting{
			only("networks: [127.0.0.1], max_connections: 1")}, // the connection that tried the port may still count
			refused: connects(3, plainPort, fromEverybody),
			old:     "max_connections: 1", new: "max_connections: 20"},
		"find out why it sends so much, or raise rate of the client": {settings: []harness.Setting{
			only("networks: [127.0.0.1], rate: 1/h")}, refused: speaks(mailFrom, rcptTo, "DATA",
			headFrom+"\r\ntext\r\n.",
			mailFrom), old: "rate: 1/h", new: "rate: 1000/h"},
		"give it a user name and a password, or add its address to networks of a client": {settings: []harness.Setting{
			plainText, only(login)}, refused: speaks(mailFrom),
			corrects: logsIn("AUTH PLAIN " + secret("", "scanner", goodPassword))},
		"correct them in the client, or set a new password_hash: graphrelay passwd": {settings: []harness.Setting{
			plainText, only(login)}, refused: logsIn("AUTH PLAIN " + secret("", "scanner", "wrong")),
			corrects: logsIn("AUTH PLAIN " + secret("", "scanner", goodPassword))},
		"leave the field for another identity empty in the client": {settings: []harness.Setting{
			plainText, only(login)}, refused: logsIn("AUTH PLAIN " + secret("boss", "scanner", goodPassword)),
			corrects: logsIn("AUTH PLAIN " + secret("", "scanner", goodPassword))},
	}
}

func remediesOfSenders() map[string]doorRow {
	none := only("networks: [127.0.0.1], repair: none")
	return map[string]doorRow{
		"correct the sender in the client, or add the address to senders, and to senders of the client": {
			refused: speaks("MAIL FROM:<boss@contoso.com>"), old: "senders:\n",
			new: "senders:\n  - address: boss@contoso.com\n"},
		"set it in the program that sends, or set repair: all": {settings: []harness.Setting{none},
			refused: sends("Subject: no author\r\n\r\ntext"), old: "repair: none", new: "repair: all"},
		"put display names in quotes in the client, or set repair: all": {settings: []harness.Setting{none},
			refused: sends("From: Smith, John <" + harness.Sender + ">\r\n\r\ntext"),
			old:     "repair: none", new: "repair: all"},
		"correct the client": {refused: sends(headFrom + "Sender: " + harness.Sender + ", a@example.org\r\n\r\ntext"),
			corrects: sends(headFrom + "Sender: " + harness.Sender + "\r\n\r\ntext")},
		"if the client may send there, add the address or *@domain to recipients of the client": {
			settings: []harness.Setting{only(`networks: [127.0.0.1], recipients: ["*@contoso.com"]`)},
			refused:  inMail(rcptTo), old: `"*@contoso.com"`, new: `"*@contoso.com", "*@example.org"`},
		"use a full address in the client, or add it to aliases": {refused: inMail("RCPT TO:<root>"),
			old: "smtp:\n", new: "aliases: {root: admin@contoso.com}\nsmtp:\n"},
		"none: a client sends the rest separately; raise the limit if it does not": {
			settings: []harness.Setting{harness.With("smtp", "max_recipients: 1")},
			refused:  inMail(rcptTo, "RCPT TO:<other@example.org>"),
			old:      "max_recipients: 1", new: "max_recipients: 2"},
		"correct the client, or set extra_recipients: trim": {
			settings: []harness.Setting{harness.With("smtp", "extra_recipients: reject")},
			refused:  sends(headFrom + "To: other@example.org\r\n\r\ntext"), old: "extra_recipients: reject",
			new: "extra_recipients: trim"},
	}
}

func remediesOfLetters() map[string]doorRow {
	good := sends(headFrom + "\r\ntext")
	return map[string]doorRow{
		"send smaller mail, or set delivery.large_messages: upload, and raise smtp.max_message_size if it is set": {
			refused: speaks(mailFrom + " SIZE=9999999"),
			old:     "smtp:\n", new: "delivery: {large_messages: upload}\nsmtp:\n"},
		"let the client send to fewer recipients at once, or raise delivery.mime_limit": {settings: []harness.Setting{
			harness.With("smtp", "max_message_size: 64KiB"), harness.With("delivery", "mime_limit: 128KiB")},
			refused: growsTooLarge, old: "mime_limit: 128KiB", new: "mime_limit: 2MiB"},
		"correct the program that writes the message": {refused: sends(headFrom + "Grüße: x\r\n\r\ntext"),
			corrects: good},
		"correct the client: it does not speak SMTP as the standards want": {refused: speaks("MAIL FROM:"),
			corrects: speaks(mailFrom)},
		"find the system that sends mail back here, such as a connector or a forwarding rule": {
			refused: sends(strings.Repeat("Received: by x\r\n", 31) + headFrom + "\r\ntext"), corrects: good},
		"point it to the right port": {refused: at(plainPort, fromEverybody, "GET / HTTP/1.1"), corrects: good},
		"see graphrelay status": {settings: []harness.Setting{harness.With("queue", "max_messages: 1"),
			harness.With("identity", "proxy: http://127.0.0.1:9")},
			refused: speaks(mailFrom, rcptTo, "DATA", headFrom+"\r\ntext\r\n.", mailFrom), corrects: emptied},
	}
}

// emptied deletes what fills the queue, as its status names the message, and sends.
func emptied(t *testing.T, f *front) string {
	out := command(t, f.Relay, "status")
	if !strings.Contains(out, "queue.max_messages") {
		t.Errorf("status: %s", out)
	}
	command(t, f.Relay, "queue", "delete", "--all", "--yes")
	return sends(headFrom+"\r\ntext")(t, f)
}
