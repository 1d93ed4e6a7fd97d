package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/operator"
	"graphrelay/relay/socket"
	"graphrelay/relay/spool"
)

// Server answers on the admin socket.
type Server struct {
	Store    spool.Reader
	Operator *operator.Operator
	Status   func(context.Context) (Status, error)
	Reload   func(context.Context) error // nil if nothing can be reloaded
	Log      *slog.Logger
}

// Serve answers requests on l, a unix socket, until ctx ends; then it closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	group, err := groupOf(l)
	if err != nil {
		return err
	}
	return socket.Serve(ctx, l, &http.Server{
		Handler: s.onlyGuests(s.routes()), ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
		ConnContext:       greet(uint32(os.Geteuid()), group),
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute,
	})
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		st, err := s.Status(r.Context())
		answer(w, st, err)
	})
	mux.HandleFunc("GET /v1/queue", with(selectionOf, func(w http.ResponseWriter, r *http.Request, f spool.Filter) {
		list, err := Queue{s.Store}.List(r.Context(), f)
		answer(w, list, err)
	}))
	mux.HandleFunc("GET /v1/queue/{id}", with(idOf, func(w http.ResponseWriter, r *http.Request, id envelope.QueueID) {
		d, err := Queue{s.Store}.Show(r.Context(), id)
		answer(w, d, err)
	}))
	mux.HandleFunc("GET /v1/queue/{id}/body", with(idOf, s.body))
	mux.HandleFunc("POST /v1/queue/{action}", s.change)
	mux.HandleFunc("GET /v1/queue/{action}/count", with(selectionOf, s.count))
	mux.HandleFunc("GET /v1/refusals", with(refusalFilterOf, s.refusals))
	mux.HandleFunc("POST /v1/holds/probe", with(mailboxOf, s.probe))
	mux.HandleFunc("POST /v1/reload", s.reload)
	return mux
}

// with answers 400 where a request cannot be parsed.
func with[T any](
	parse func(*http.Request) (T, error), do func(http.ResponseWriter, *http.Request, T),
) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := parse(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		do(w, r, v)
	}
}

func selectionOf(r *http.Request) (spool.Filter, error) { return filterOf(r.URL.Query()) }

func idOf(r *http.Request) (envelope.QueueID, error) { return envelope.ParseQueueID(r.PathValue("id")) }

func mailboxOf(r *http.Request) (mailbox envelope.Address, err error) {
	if m := r.URL.Query().Get("mailbox"); m != "" {
		return envelope.ParseAddress(m)
	}
	return mailbox, nil
}

// body streams a stored message. If it turns out to be damaged half-way the
// connection is aborted, so that the reader knows.
func (s *Server) body(w http.ResponseWriter, r *http.Request, id envelope.QueueID) {
	b, err := s.Store.Open(r.Context(), id)
	if err != nil {
		answer(w, nil, err)
		return
	}
	defer b.Close()
	w.Header().Set("Content-Type", "message/rfc822")
	if _, err := io.Copy(w, b); err != nil {
		s.Log.Warn("cannot read a stored message completely", "queue_id", string(id), "error", err)
		panic(http.ErrAbortHandler)
	}
}

// ids is the body of a request for changes to some messages.
type ids struct {
	IDs []envelope.QueueID `json:"ids"`
	All bool               `json:"all"` // all that the filter selects
}

// maxIDs bounds the body of such a request, in bytes.
const maxIDs = 16 << 20

func (s *Server) change(w http.ResponseWriter, r *http.Request) {
	c, err := changeOf(w, r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, flush := json.NewEncoder(w), http.NewResponseController(w)
	var last operator.Progress
	err = s.Operator.Change(r.Context(), c, func(p operator.Progress) error {
		if last = p; p.Done {
			return nil // sent below, after the log has it
		}
		return errors.Join(out.Encode(p), flush.Flush())
	})
	s.Log.Info("operator changed messages", "action", string(c.Action), "user", c.By, "uid", guestOf(r).uid,
		"changed", last.Changed, "skipped", last.Skipped, "queue_ids", len(c.IDs),
		"filter", values(c.Filter).Encode(), "error", err)
	if err != nil {
		last.Failed = err.Error()
	}
	_ = out.Encode(last) // the operator may have disconnected
}

// count answers how many messages a change of all that f selects would be made to.
func (s *Server) count(w http.ResponseWriter, r *http.Request, f spool.Filter) {
	n, err := s.Operator.Count(r.Context(), operator.Change{Action: operator.Action(r.PathValue("action")), Filter: f})
	answer(w, n, err)
}

func changeOf(w http.ResponseWriter, r *http.Request) (operator.Change, error) {
	c := operator.Change{Action: operator.Action(r.PathValue("action")), By: userOf(r)}
	if !c.Action.Known() {
		return c, errors.New("the action is none of retry, hold, release, delete")
	}
	var body ids
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxIDs)).Decode(&body); err != nil {
		return c, err
	}
	if body.All == (len(body.IDs) > 0) {
		return c, errors.New("name queue IDs, or ask for all that a filter selects")
	}
	for _, id := range body.IDs {
		if _, err := envelope.ParseQueueID(string(id)); err != nil {
			return c, err
		}
	}
	var err error
	c.IDs = body.IDs
	c.Filter, err = filterOf(r.URL.Query())
	return c, err
}

// probe has the holds probed that a mailbox or a key names, or all of them, and
// answers with their keys.
func (s *Server) probe(w http.ResponseWriter, r *http.Request, mailbox envelope.Address) {
	keys := s.Operator.Probe(r.URL.Query().Get("key"), mailbox)
	if len(keys) > 0 {
		s.Log.Info("operator requested a probe of holds", "user", userOf(r), "uid", guestOf(r).uid, "holds", keys)
	}
	answer(w, keys, nil)
}

// reload answers 422 with the reason if the configuration was not loaded, else with
// the pauses that go on.
func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	if s.Reload == nil {
		http.Error(w, "this service cannot reload; restart it", http.StatusNotImplemented)
		return
	}
	if err := s.Reload(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	answer(w, s.Operator.TryAll(), nil)
}

func answer(w http.ResponseWriter, v any, err error) {
	switch {
	case errors.Is(err, spool.ErrNotFound):
		http.Error(w, "no such message", http.StatusNotFound)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
}
