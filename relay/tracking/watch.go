package tracking

import (
	"context"
	"fmt"
	"sync"
	"time"

	"graphrelay/relay/reply"
	"graphrelay/relay/spool"
	"graphrelay/relay/text"
)

const (
	watchFor   = 24 * time.Hour
	fewest     = 20  // bounces of a client within a day that may be a fault
	share      = 0.2 // of its messages
	watchEvery = time.Minute
)

// limits are codes that say nothing about the recipient: the mailbox or the whole tenant may send no
// more, so that each message bounces.
var limits = map[reply.Enhanced][2]string{
	{5, 1, 90}: {"Mailbox has used up its recipients of the day, and its mail bounces",
		"spread the mail over more mailboxes; the limit of 10,000 recipients frees itself within 24 hours"},
	{5, 7, 233}: {"Tenant has used up its external recipients of the day, and external mail bounces",
		"send less to the outside or buy licences; the limit frees itself within 24 hours"},
	{5, 7, 232}: {"Trial tenant has used up its external recipients of the day, and external mail bounces",
		"send less to the outside or end the trial; the limit frees itself within 24 hours"},
	{5, 7, 236}: {"onmicrosoft.com sender has used up its 100 external recipients, and external mail bounces",
		"send from a domain of your own"},
	{5, 1, 8}: {"Mailbox is blocked for sending suspicious mail, and its mail bounces",
		"find out what it sent, then unblock it under Restricted entities of Microsoft Defender"},
	{5, 7, 705}: {"Tenant is blocked for sending suspicious mail, and all its mail bounces",
		"secure the accounts that sent it, then ask Microsoft's support to lift the block"},
	{5, 7, 750}: {"Tenant sends from domains that it has not registered, and that mail bounces",
		"add the domain of the sender to the tenant"},
}

// Limits are their statuses.
func Limits() (list []string) {
	for status := range limits {
		list = append(list, status.String())
	}
	return list
}

// isNews reports whether an event says something for certain about mail of today.
func isNews(e spool.Event, now time.Time) bool {
	return e.Kind == spool.EventBounced && !e.Probable && now.Sub(e.At) <= watchFor
}

// watch looks at the bounces as a whole.
type watch struct {
	mu      sync.Mutex
	codes   map[string]time.Time // alarms about codes: when the last such bounce came
	clients map[string]time.Time // when the share of a client was looked at last
	high    map[string]bool      // clients with an alarm
}

func newWatch() watch {
	return watch{codes: map[string]time.Time{}, clients: map[string]time.Time{}, high: map[string]bool{}}
}

// note follows a bounce that was recorded.
func (w *watch) note(ctx context.Context, t *Tracker, rec spool.Record, e spool.Event) {
	now := t.Now()
	if !isNews(e, now) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if meaning, ok := limits[e.Status]; ok {
		key := "bounce-code:" + e.Status.String()
		w.codes[key] = now
		t.Alarm(key, text.Cause{
			Headline: meaning[0], Remedy: meaning[1], Detail: rec.Mailbox.String() + ": " + e.Text,
		}.String(), true)
		return
	}
	if client := rec.Client.Name; client != "" && now.Sub(w.clients[client]).Abs() >= watchEvery {
		w.clients[client] = now
		w.judge(ctx, t, client, now)
	}
}

// end ends the alarms whose cause is a day old, and looks again at the clients with one.
func (w *watch) end(t *Tracker, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, last := range w.codes {
		if now.Sub(last) > watchFor {
			delete(w.codes, key)
			t.Alarm(key, "no such bounce for a day", false)
		}
	}
	for client := range w.high {
		if now.Sub(w.clients[client]).Abs() >= time.Hour {
			w.clients[client] = now
			w.judge(context.Background(), t, client, now)
		}
	}
}

// judge compares the bounces of a client with what it sent within a day: its newest
// thousand messages stand for all.
func (w *watch) judge(ctx context.Context, t *Tracker, client string, now time.Time) {
	list, err := t.Store.List(ctx, spool.Filter{
		Client: client, States: []spool.State{spool.Sent}, Since: now.Add(-watchFor), Newest: true,
		Limit: spool.MaxPage,
	})
	if err != nil {
		return // the next bounce looks again
	}
	bounced := 0
	for _, r := range list {
		if r.Bounces > 0 {
			bounced++
		}
	}
	key, high := "bounce-share:"+client, bounced >= fewest && float64(bounced) >= share*float64(len(list))
	switch {
	case high:
		w.high[client] = true
		t.Alarm(key, text.Cause{
			Headline: "Much mail of one client bounces",
			Remedy: "see why with graphrelay trace --undelivered --client " + client + " --since 1d, and correct the " +
				"addresses that it writes to",
			Detail: fmt.Sprintf("client %s: %d of its last %d messages within a day", client, bounced, len(list)),
		}.String(), true)
	case w.high[client]:
		delete(w.high, client)
		t.Alarm(key, "less than a fifth of its mail bounces", false)
	}
}
