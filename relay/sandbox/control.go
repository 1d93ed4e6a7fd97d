package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// controls adds the JSON interface:
//
//	GET    /api/messages?after=ID&limit=N   records in order; next is the after of the next page
//	GET    /api/messages/{id}               one record
//	GET    /api/messages/{id}/raw           as received
//	GET    /api/messages/{id}/delivered     without Bcc
//	DELETE /api/messages                    Reset
//	GET    /api/wait?count=N&timeout=30s    200 when N have arrived, else 408
//	GET    /api/stats                       Stats
//	GET    /api/ledger?id=MESSAGE-ID        counts by Message-ID, or that of one
//	GET    /api/refusals                    the newest requests that were not accepted, and how many there were
//	GET    /api/faults                      the script in force
//	POST   /api/faults                      a Fault, or a list of them, added behind
//	DELETE /api/faults                      ends every fault
//	POST   /api/latency                     {"latency":"200ms"}
//	POST   /api/allowed                     {"allowed":["a@b"]}, null for all that exist
//	POST   /api/mailboxes                   {"mailboxes":["a@b"]}, null for every address
//	POST   /api/sendas                      {"mailbox":"a@b","addresses":["c@d"]}
//	GET    /api/shapes                      the names for shape, and those of what only looks like an NDR
//	POST   /api/bounces                     {"id":1,"shape":"exchange","recipients":["a@b"]}: Bounce
//	POST   /api/lost                        {"lost":true}: SetLost
//	POST   /api/granted                     {"granted":["Mail.ReadWrite"]}
//	GET    /api/access                      the Access set up last; null in the simple mode
//	POST   /api/access                      {"access":{...},"propagation":"1h"}: SetAccess
//	GET    /api/access/test?mailbox=a@b     what the test cmdlets of Exchange would say
//	POST   /api/certificates                {"pem":"..."}: SetCertificates
//	GET    /api/keys                        the certificates registered now
//	POST   /api/keys                        {"propagation":"1h","max_lifetime":"8760h",...}: SetKeyRules
//	POST   /api/clock                       {"advance":"2h"}: Advance
//	POST   /api/propagation                 {"advance":"2h"}: Propagate
//	POST   /api/secret                      {"secret":"..."}
//	POST   /api/revoke                      RevokeTokens; {"forget":true} for ForgetTokens
//
// A POST must say Content-Type: application/json, which a foreign page in a
// browser may not.
func (d *Double) controls(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/messages", d.getMessages)
	mux.HandleFunc("GET /api/messages/{id}", d.getMessage)
	mux.HandleFunc("GET /api/messages/{id}/raw", d.download(d.Raw))
	mux.HandleFunc("GET /api/messages/{id}/delivered", d.download(d.Delivered))
	mux.HandleFunc("DELETE /api/messages", done(d.Reset))
	mux.HandleFunc("GET /api/wait", d.getWait)
	mux.HandleFunc("GET /api/stats", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 200, d.Stats()) })
	mux.HandleFunc("GET /api/ledger", d.getLedger)
	mux.HandleFunc("GET /api/refusals", func(w http.ResponseWriter, _ *http.Request) {
		list, count := d.Refusals()
		writeJSON(w, http.StatusOK, map[string]any{"count": count, "refusals": list})
	})
	mux.HandleFunc("GET /api/faults", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 200, d.Faults()) })
	mux.HandleFunc("POST /api/faults", d.postFaults)
	mux.HandleFunc("DELETE /api/faults", done(d.ClearFaults))
	mux.HandleFunc("POST /api/latency", setting(d.changeLatency))
	mux.HandleFunc("POST /api/allowed",
		setting(func(v struct{ Allowed []string }) error { d.SetAllowed(v.Allowed); return nil }))
	mux.HandleFunc("POST /api/mailboxes",
		setting(func(v struct{ Mailboxes []string }) error { d.SetMailboxes(v.Mailboxes); return nil }))
	mux.HandleFunc("POST /api/sendas", setting(d.changeSendAs))
	mux.HandleFunc("GET /api/shapes", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"shapes": Shapes(), "lookalikes": Lookalikes()})
	})
	mux.HandleFunc("POST /api/bounces", setting(func(v struct {
		ID         int
		Shape      string
		Recipients []string
	}) error {
		return d.Bounce(v.ID, v.Shape, v.Recipients...)
	}))
	mux.HandleFunc("POST /api/lost",
		setting(func(v struct{ Lost bool }) error { d.SetLost(v.Lost); return nil }))
	mux.HandleFunc("POST /api/granted",
		setting(func(v struct{ Granted []string }) error { d.SetGranted(v.Granted...); return nil }))
	mux.HandleFunc("GET /api/access", d.getAccess)
	mux.HandleFunc("POST /api/access", setting(d.changeAccess))
	mux.HandleFunc("GET /api/access/test", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusOK, d.Test(r.FormValue("mailbox")))
	})
	mux.HandleFunc("POST /api/certificates", setting(d.changeCertificates))
	mux.HandleFunc("GET /api/keys", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 200, d.Keys()) })
	mux.HandleFunc("POST /api/keys", setting(d.changeKeys))
	mux.HandleFunc("POST /api/clock", setting(d.changeClock))
	mux.HandleFunc("POST /api/propagation", setting(d.changePropagation))
	mux.HandleFunc("POST /api/secret",
		setting(func(v struct{ Secret string }) error { d.SetSecret(v.Secret); return nil }))
	mux.HandleFunc("POST /api/revoke", setting(d.changeTokens))
}

// done makes a handler of an action without arguments.
func done(action func()) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		action()
		w.WriteHeader(http.StatusNoContent)
	}
}

// setting makes a handler that decodes a T strictly and applies it.
func setting[T any](apply func(T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var v T
		err := readJSON(r, &v)
		if err == nil {
			err = apply(v)
		}
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func readJSON(r *http.Request, v any) error {
	if r.Header.Get("Content-Type") != "application/json" {
		return errors.New("send Content-Type: application/json")
	}
	decoder := json.NewDecoder(http.MaxBytesReader(nil, r.Body, 1<<20))
	decoder.DisallowUnknownFields()
	return decoder.Decode(v)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that is gone is no concern
}

func (d *Double) changeLatency(v struct{ Latency string }) error {
	latency, err := time.ParseDuration(v.Latency)
	if err != nil || latency < 0 {
		return fmt.Errorf("latency %q is no duration; write one such as 200ms", v.Latency)
	}
	d.SetLatency(latency)
	return nil
}

func (d *Double) changeSendAs(v struct {
	Mailbox   string
	Addresses []string
}) error {
	d.SetSendAs(v.Mailbox, v.Addresses...)
	return nil
}

func (d *Double) changeTokens(v struct{ Forget bool }) error {
	if v.Forget {
		d.ForgetTokens()
	} else {
		d.RevokeTokens()
	}
	return nil
}

// getMessages pages through the records: at most 1000 at once, 100 unless told.
func (d *Double) getMessages(w http.ResponseWriter, r *http.Request) {
	after, _ := strconv.Atoi(r.FormValue("after"))
	limit, _ := strconv.Atoi(r.FormValue("limit"))
	if limit < 1 || limit > 1000 {
		limit = 100
	}
	list := d.store.after(max(after, 0), limit)
	page := map[string]any{"count": d.Count(), "messages": list}
	if len(list) == limit {
		page["next"] = list[len(list)-1].ID
	}
	writeJSON(w, http.StatusOK, page)
}

func (d *Double) getMessage(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.Atoi(r.PathValue("id")) // 0 is nobody's
	m, ok := d.Message(id)
	if !ok {
		writeJSON(w, http.StatusNotFound, map[string]string{"error": "this message is not kept"})
		return
	}
	writeJSON(w, http.StatusOK, m)
}

// download serves a message as a file, never as something to show: it is
// foreign content.
func (d *Double) download(content func(int) ([]byte, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.Atoi(r.PathValue("id"))
		body, err := content(id)
		if err != nil {
			writeJSON(w, http.StatusNotFound, map[string]string{"error": err.Error()})
			return
		}
		name, contentType := fmt.Sprintf("%d.eml", id), "message/rfc822"
		if m, _ := d.Message(id); m.Form == "json" {
			name, contentType = fmt.Sprintf("%d.json", id), "application/json"
		}
		w.Header().Set("Content-Disposition", "attachment; filename="+name)
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body)
	}
}

// getWait answers when count messages have arrived, or 408 after timeout (30 s
// unless told, 10 minutes at most).
func (d *Double) getWait(w http.ResponseWriter, r *http.Request) {
	count, err := strconv.Atoi(r.FormValue("count"))
	timeout, timeErr := time.ParseDuration(or(r.FormValue("timeout"), "30s"))
	if err != nil || timeErr != nil {
		writeJSON(w, http.StatusBadRequest,
			map[string]string{"error": "count must be a number and timeout a duration such as 30s"})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), min(timeout, 10*time.Minute))
	defer cancel()
	status := http.StatusOK
	if d.Wait(ctx, count) != nil {
		status = http.StatusRequestTimeout
	}
	writeJSON(w, status, map[string]int{"count": d.Count()})
}

func (d *Double) getLedger(w http.ResponseWriter, r *http.Request) {
	if !r.URL.Query().Has("id") {
		writeJSON(w, http.StatusOK, d.Ledger())
		return
	}
	id := r.URL.Query().Get("id")
	d.store.mu.Lock()
	count := d.store.ledger[id]
	d.store.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]int{id: count})
}

// postFaults takes one fault or a list; of a list with a mistake none is taken.
func (d *Double) postFaults(w http.ResponseWriter, r *http.Request) {
	setting(func(list faultList) error {
		for _, f := range list {
			if err := f.Validate(); err != nil {
				return err
			}
		}
		for _, f := range list {
			if err := d.Inject(f); err != nil {
				return err
			}
		}
		return nil
	})(w, r)
}
