package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"net/http"
	"path"
	"time"
)

//go:embed web
var web embed.FS

// pages are the templates by name, each with the layout around it.
type pages map[string]*template.Template

func parsePages(now func() time.Time) pages {
	functions := template.FuncMap{"clock": clock, "moment": moment, "ago": func(t time.Time) string { return ago(now(), t) },
		"iso": func(t time.Time) string { return t.UTC().Format(time.RFC3339) }, "lasting": lasting, "octets": octets}
	layout := template.Must(template.New("layout.html").Funcs(functions).ParseFS(web, "web/layout.html"))
	names, _ := fs.Glob(web, "web/page_*.html")
	all := pages{}
	for _, n := range names {
		name := path.Base(n)
		all[name[len("page_"):len(name)-len(".html")]] = template.Must(template.Must(layout.Clone()).ParseFS(web, n))
	}
	return all
}

// page is what every template gets.
type page struct {
	Title  string
	Active string // the part of the menu
	Token  string // of the session's forms; empty without a session
	Host   string
	Error  string
	Live   bool // the script renews it
	Body   any
}

// show renders a page, whole or not at all.
func (c *Console) show(w http.ResponseWriter, _ *http.Request, s *session, code int, name string, p page) {
	p.Host = c.Hostname()
	if s != nil {
		p.Token = s.token
	}
	var b bytes.Buffer
	if err := c.pages[name].Execute(&b, p); err != nil {
		c.Log.Error("console: a page could not be made", "page", name, "cause", err)
		http.Error(w, "The page could not be made; the log tells why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	// The templates hold nothing that foreign would change, so this catches
	// whatever text was not of that type.
	_, _ = io.WriteString(w, foreign(b.String()).String())
}

// fail shows what went wrong, in words for the operator.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, s *session, code int, text string) {
	c.show(w, r, s, code, "fault", page{Title: http.StatusText(code), Body: foreign(text)})
}

// broken shows an error of the store.
func (c *Console) broken(w http.ResponseWriter, r *http.Request, s *session, err error) {
	c.Log.Warn("console: the store does not answer", "cause", err)
	c.fail(w, r, s, http.StatusInternalServerError, "The store does not answer: "+err.Error()+". Look at the log and at graphrelay status.")
}

func (c *Console) notFound(w http.ResponseWriter, r *http.Request, s *session) {
	c.fail(w, r, s, http.StatusNotFound, "There is no such page.")
}

func static(w http.ResponseWriter, r *http.Request) {
	switch name := r.PathValue("name"); name {
	case "style.css", "script.js", "icon.svg":
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeFileFS(w, r, web, "web/"+name)
	default:
		http.NotFound(w, r)
	}
}

// clock is a time of day in the server's time zone.
func clock(t time.Time) string { return t.Local().Format("15:04:05") }

// moment is a date and a time of day; "" for the zero time.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// ago says how long before now t was, roughly.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	if t.After(now) {
		return "in " + lasting(t.Sub(now))
	}
	if now.Sub(t) < time.Second {
		return "just now"
	}
	return lasting(now.Sub(t)) + " ago"
}

// lasting writes a duration as people say it.
func lasting(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}

// octets writes a size.
func octets(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d B", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	case n < 10<<30:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d GiB", n>>30)
}
