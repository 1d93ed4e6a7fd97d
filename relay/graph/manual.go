package graph

import (
	"graphrelay/relay/entra"
	"graphrelay/relay/outcome"
)

// Fact is one row of the catalogue as people read it: the manual is made of
// these, and each is tried against the double.
type Fact struct {
	Of Source
	outcome.Row
}

// Source is what a Fact is about.
type Source string

// The sources, in the order of Catalogue.
const (
	OfGraph      Source = "sendMail"   // answers to sendMail
	OfDraft      Source = "draft"      // the same to the requests for a draft, where they mean something else
	OfDraftSend  Source = "send"       // the same to the request that sends the draft
	OfConnection Source = "connection" // no answer
	OfLogin      Source = "login"      // answers to a login
	OfNumber     Source = "number"     // advice for the numbers in them
	OfMetadata   Source = "metadata"   // answers of the metadata service of an Azure machine
)

// Catalogue lists everything that is known, by source and in the order in which
// the first match wins.
func Catalogue() []Fact {
	var all []Fact
	for _, table := range []struct {
		of   Source
		rows []outcome.Row
	}{
		{OfGraph, catalogue()},
		{OfDraft, Step{Needs: RoleReadWrite}.Exceptions()},
		{OfDraftSend, Step{MayDepart: true}.Exceptions()},
		{OfConnection, lossCatalogue()},
		{OfLogin, entra.Refusals()},
		{OfNumber, entra.Numbers()},
		{OfMetadata, entra.MetadataRefusals()},
	} {
		for _, r := range table.rows {
			all = append(all, Fact{table.of, r})
		}
	}
	return all
}
