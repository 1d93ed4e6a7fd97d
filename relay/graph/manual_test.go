package graph

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"graphrelay/relay/outcome"
	"graphrelay/relay/submission"
)

var update = flag.Bool("update", false, "rewrite packaging/doc/answers.md; then read the difference")

// The page of the manual is made of the catalogue.
func TestManualListsEveryAnswer(t *testing.T) {
	path := filepath.Join("..", "..", "packaging", "doc", "answers.md")
	want := answersPage()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the catalogue says (%v); run: go test ./relay/graph -run TestManualListsEveryAnswer "+
			"-update", path, err)
	}
}

func answersPage() string {
	var b strings.Builder
	section := func(title, intro string, columns string, row func(Fact) string, of Source) {
		if intro != "" {
			intro += "\n\n"
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s%s\n%s\n", title, intro, columns,
			strings.Repeat("|---", strings.Count(columns, "|")-1)+"|")
		for _, f := range Catalogue() {
			if f.Of == of {
				b.WriteString(row(f) + "\n")
			}
		}
	}
	b.WriteString(`# What Microsoft answers, and what happens to the message

This page is made from the table in the program. For each message the first row that matches decides. The outcomes are:

- **delivered**: Graph accepted it. What fails later, such as a recipient that does not exist, arrives as a report
  in the mailbox that sent.
- **retry**: certainly not sent, and retried: after the time that Graph names, or else after 15 seconds to 30 minutes
  (5 minutes where Microsoft [does not answer](reports.md#microsoft-does-not-answer)), until ` + "`queue.max_age`" + `.
- **bounce**: certainly not sent, and never will be.
- **too large**: does not fit into one request: sent as a draft with
  ` + "`delivery.large_messages: upload`" + `, whole with ` + "`smtp`" + `, otherwise a bounce.
- **hold**: certainly not sent, and not the message's fault. The scope waits: all mail of the **identity** or of the
  **mailbox**, its **large** mail, or its mail with the same **from** address; a **message** by itself waits for the
  operator. If the client chose the **from** address, the message fails with a report instead: waiting would not
  help. A probe is sent after 1, 2, 4 ... 30 minutes, after a restart, and whenever something may have ended the hold
  ([the triggers](reports.md#holds)); when it passes, delivery resumes by itself.
- **unknown**: perhaps sent. ` + "`delivery.unknown_outcome`" + ` decides what happens then.
- **retry or unknown**: Microsoft says that this can follow a message that was sent. With ` +
		"`unknown_outcome: hold`" + ` or
  ` + "`lookup`" + ` it is unknown, otherwise it is retried.

An answer that no row names is a bounce only if the status is 400 or 422 and the error is Graph's own. Everything else
waits, because waiting loses nothing. Even such a bounce fails single messages only: from the third message on that
meets the same unknown code in a mailbox within ten minutes, the mail of their **client** in that mailbox is held, or
the whole mailbox where messages of two clients, a report or a test mail of the relay met it. The log line of each
attempt has the text, what Graph said, and the request ID by which Microsoft's support finds the request.
`)
	answer := func(f Fact) string {
		what := f.Outcome.String()
		if f.Doubt {
			what += " or unknown"
		}
		return cells(code(orAny(f.HTTP)), answerCode(f), f.Text, what, f.Scope.String(), f.Status.String(), f.Advice)
	}
	const columns = "| HTTP | Code | Meaning | Outcome | Scope | Status | What to do |"
	section("Answers to sendMail",
		"`xx` stands for any two digits, `X*` for every code with that beginning and `*X*` for every code "+
			"that contains X. The code may also be that of an inner error; “a page” is HTML in place of an answer.",
		columns, answer, OfGraph)
	section("Answers to the steps of large mail",
		"A draft is created, its attachments are uploaded, and then the draft is sent. The table above applies to "+
			"each request, "+
			"except for these rows; up to then nothing was sent. What is left of the draft is deleted.",
		columns, answer, OfDraft)
	section("Answers to the last step of large mail", "", columns, answer, OfDraftSend)
	replies, losses := submission.Catalogue()
	submitted := func(title, intro, columns string, row func(Fact) string, rows []outcome.Row) {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n%s\n%s\n", title, intro, columns,
			strings.Repeat("|---", strings.Count(columns, "|")-1)+"|")
		for _, r := range rows {
			b.WriteString(row(Fact{Row: r}) + "\n")
		}
	}
	submitted("Replies of the submission server",
		"With `delivery.large_messages: smtp`, large mail goes by SMTP. Scope **large** is the large mail of the "+
			"mailbox: its small mail continues by Graph. A reply code and an enhanced code decide, as above.",
		"| Reply | Code | Meaning | Outcome | Scope | Status | What to do |", answer, replies)
	lost := func(f Fact) string {
		return cells(f.When, f.Text, f.Outcome.String(), f.Scope.String(), f.Status.String(), f.Advice)
	}
	submitted("No reply of the submission server", "Before the end of a message nothing was sent.",
		"| What happens | Meaning | Outcome | Scope | Status | What to do |", lost, losses)
	section("No answer", "", "| What happens | Outcome | Scope | Status | What to do |", func(f Fact) string {
		advice := f.Advice
		if f.When == "the same on the way to Entra" {
			advice = "as above"
		}
		return cells(f.When, f.Outcome.String(), f.Scope.String(), f.Status.String(), advice)
	}, OfConnection)
	section("Answers to a login",
		"Without a token nothing can be sent, so these concern the whole identity. While an older token is valid, "+
			"delivery continues.", columns, answer, OfLogin)
	section("Numbers in answers to a login",
		"They decide nothing, as Microsoft asks of programs (except AADSTS90055 above), but say more exactly what "+
			"to do.", "| Number | What to do |",
		func(f Fact) string { return cells(code(strings.ReplaceAll(f.When, " ", "`, `")), f.Advice) }, OfNumber)
	section("Answers of the metadata service",
		"With `managed_identity` the token comes from the machine itself (169.254.169.254 in Azure).",
		columns, answer, OfMetadata)
	return b.String()
}

func cells(words ...string) string {
	for i, w := range words {
		words[i] = strings.ReplaceAll(w, "|", `\|`)
	}
	return "| " + strings.Join(words, " | ") + " |"
}

func code(s string) string { return "`" + s + "`" }

func orAny(s string) string {
	if s == "" {
		return "any"
	}
	return s
}

// answerCode is the pattern of a row in words.
func answerCode(f Fact) string {
	var words []string
	switch f.Code {
	case "":
	case "-":
		words = append(words, "no error of the service")
	default:
		words = append(words, code(strings.Join(strings.Fields(f.Code), "`, `")))
	}
	if f.Match != "" {
		words = append(words, "“"+strings.ReplaceAll(f.Match, "|", "” or “")+"”")
	}
	if f.Page {
		words = append(words, "a page")
	}
	if len(words) == 0 {
		return "any"
	}
	return strings.Join(words, ", ")
}
