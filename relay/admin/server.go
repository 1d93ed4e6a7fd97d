package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"time"

	"graphrelay/relay/envelope"
	"graphrelay/relay/spool"
)

// maxList bounds one page of the queue list.
const maxList = 1000

// Server answers on the admin socket.
type Server struct {
	Store  Store
	Status func(context.Context) (Status, error)
	Log    *slog.Logger
}

// Serve answers requests on l until ctx ends; then it closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	srv := &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, r *http.Request) {
		st, err := s.Status(r.Context())
		reply(w, st, err)
	})
	mux.HandleFunc("GET /v1/queue", func(w http.ResponseWriter, r *http.Request) {
		f, err := filterOf(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		list, err := Queue{s.Store}.List(r.Context(), f)
		reply(w, list, err)
	})
	mux.HandleFunc("GET /v1/queue/{id}", func(w http.ResponseWriter, r *http.Request) {
		id, err := envelope.ParseQueueID(r.PathValue("id"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		d, err := Queue{s.Store}.Show(r.Context(), id)
		reply(w, d, err)
	})
	return mux
}

func filterOf(r *http.Request) (f spool.Filter, err error) {
	q := r.URL.Query()
	for _, s := range q["state"] {
		f.States = append(f.States, spool.State(s))
	}
	if m := q.Get("mailbox"); m != "" {
		if f.Mailbox, err = envelope.ParseAddress(m); err != nil {
			return f, err
		}
	}
	f.After = envelope.QueueID(q.Get("after"))
	if l := q.Get("limit"); l != "" {
		if f.Limit, err = strconv.Atoi(l); err != nil || f.Limit < 1 || f.Limit > maxList {
			return f, errors.New("limit must be a number from 1 to " + strconv.Itoa(maxList))
		}
	}
	return f, nil
}

func reply(w http.ResponseWriter, v any, err error) {
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
