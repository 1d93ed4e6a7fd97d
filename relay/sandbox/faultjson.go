package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// faultJSON is how a Fault looks in JSON: durations as text such as "1.5s".
type faultJSON struct {
	Endpoint       string            `json:"endpoint,omitempty"`
	Mailbox        string            `json:"mailbox,omitempty"`
	From           string            `json:"from,omitempty"`
	Subject        string            `json:"subject,omitempty"`
	MessageID      string            `json:"message_id,omitempty"`
	Skip           int               `json:"skip,omitempty"`
	Count          int               `json:"count,omitempty"`
	Percent        int               `json:"percent,omitempty"`
	Latency        duration          `json:"latency,omitempty"`
	Status         int               `json:"status,omitempty"`
	Code           string            `json:"code,omitempty"`
	Message        string            `json:"message,omitempty"`
	AADSTS         int               `json:"aadsts,omitempty"`
	Headers        map[string]string `json:"headers,omitempty"`
	RetryAfter     duration          `json:"retry_after,omitempty"`
	RetryAfterDate bool              `json:"retry_after_date,omitempty"`
	Body           string            `json:"body,omitempty"`
	Stored         bool              `json:"stored,omitempty"`
	Early          bool              `json:"early,omitempty"`
	Drop           Drop              `json:"drop,omitempty"`
	DropAfter      int64             `json:"drop_after,omitempty"`
}

// duration is a time.Duration that is text in JSON.
type duration time.Duration

// MarshalText writes "1.5s".
func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads "1.5s".
func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

// MarshalJSON writes durations as text.
func (f Fault) MarshalJSON() ([]byte, error) {
	return json.Marshal(faultJSON{
		Endpoint: f.Endpoint, Mailbox: f.Mailbox, From: f.From, Subject: f.Subject, MessageID: f.MessageID,
		Skip: f.Skip, Count: f.Count, Percent: f.Percent, Latency: duration(f.Latency), Status: f.Status,
		Code: f.Code, Message: f.Message, AADSTS: f.AADSTS, Headers: f.Headers,
		RetryAfter: duration(f.RetryAfter), RetryAfterDate: f.RetryAfterDate, Body: f.Body,
		Stored: f.Stored, Early: f.Early, Drop: f.Drop, DropAfter: f.DropAfter,
	})
}

// UnmarshalJSON refuses fields it does not know: a misspelt fault would never
// strike.
func (f *Fault) UnmarshalJSON(b []byte) error {
	var j faultJSON
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&j); err != nil {
		return fmt.Errorf("fault: %w", err)
	}
	*f = Fault{
		Endpoint: j.Endpoint, Mailbox: j.Mailbox, From: j.From, Subject: j.Subject, MessageID: j.MessageID,
		Skip: j.Skip, Count: j.Count, Percent: j.Percent, Latency: time.Duration(j.Latency), Status: j.Status,
		Code: j.Code, Message: j.Message, AADSTS: j.AADSTS, Headers: j.Headers,
		RetryAfter: time.Duration(j.RetryAfter), RetryAfterDate: j.RetryAfterDate, Body: j.Body,
		Stored: j.Stored, Early: j.Early, Drop: j.Drop, DropAfter: j.DropAfter,
	}
	return nil
}

// faultList is a fault or a list of faults.
type faultList []Fault

// UnmarshalJSON accepts both.
func (l *faultList) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("[")) {
		return json.Unmarshal(b, (*[]Fault)(l))
	}
	var f Fault
	err := json.Unmarshal(b, &f)
	*l = faultList{f}
	return err
}
