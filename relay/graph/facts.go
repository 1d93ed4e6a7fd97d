package graph

import (
	"fmt"
	"strings"

	"graphrelay/relay/outcome"
	"graphrelay/relay/reply"
)

// Fact is one row of the catalogue as people read it: the manual is made of
// these, and each is tried against the double.
type Fact struct {
	Of      Source
	HTTP    string // statuses "400 413" or classes "5xx"; empty is any
	Code    string // error.code, or error of a login: any of these words, "X*" what begins so, "-" none; empty is any
	Match   string // part of the message; empty is any
	Page    bool   // a web page
	When    string // in place of all these, where no answer came; for Numbers "AADSTS..."
	Outcome outcome.Outcome
	Scope   outcome.Scope
	Status  reply.Enhanced
	Text    string // what happened
	Advice  string // what to do
}

// Source is what a Fact is about.
type Source string

// The sources, in the order of Catalogue.
const (
	OfGraph      Source = "sendMail"   // answers to sendMail
	OfDraft      Source = "draft"      // answers to the requests that make the draft of large mail, where they mean something else
	OfDraftSend  Source = "send"       // the same of the request that sends the draft
	OfConnection Source = "connection" // no answer
	OfLogin      Source = "login"      // answers to a login
	OfNumber     Source = "number"     // advice for the numbers in them
	OfMetadata   Source = "metadata"   // answers of the metadata service of an Azure machine
)

// Catalogue lists everything that is known, by source and in the order in which
// the first match wins.
func Catalogue() []Fact {
	var all []Fact
	for _, group := range catalogue() {
		all = append(all, graphFacts(OfGraph, group())...)
	}
	all = append(all, graphFacts(OfDraft, createStep.exceptions())...)
	all = append(all, graphFacts(OfDraftSend, sendStep.exceptions())...)
	for _, r := range lossCatalogue() {
		all = append(all, Fact{Of: OfConnection, When: r.when, Outcome: r.outcome, Scope: r.scope, Status: r.status, Text: r.text, Advice: r.advice})
	}
	all = append(all, loginFacts(OfLogin, loginCatalogue())...)
	for _, n := range loginNumbers() {
		all = append(all, Fact{Of: OfNumber, When: aadsts(n.numbers), Scope: outcome.ScopeIdentity, Advice: n.advice})
	}
	return append(all, loginFacts(OfMetadata, managedCatalogue())...)
}

func graphFacts(of Source, rows []row) []Fact {
	var all []Fact
	for _, r := range rows {
		all = append(all, Fact{Of: of, HTTP: r.http, Code: r.code, Match: r.match, Page: r.body == "html",
			Outcome: r.outcome, Scope: r.scope, Status: r.status, Text: r.text, Advice: r.advice})
	}
	return all
}

func loginFacts(of Source, rows []loginRow) []Fact {
	var all []Fact
	for _, r := range rows {
		all = append(all, Fact{Of: of, HTTP: r.http, Code: r.error, Outcome: r.outcome, Scope: outcome.ScopeIdentity, Status: r.status, Text: r.text, Advice: r.advice})
	}
	return all
}

func aadsts(numbers []int) string {
	var words []string
	for _, n := range numbers {
		words = append(words, fmt.Sprintf("AADSTS%d", n))
	}
	return strings.Join(words, " ")
}
