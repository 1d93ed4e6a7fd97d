package console

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"graphrelay/relay/text"
)

//go:embed web
var web embed.FS

// pages are the templates by name, each with the layout around it.
type pages map[string]*template.Template

func parsePages(now func() time.Time) pages {
	functions := template.FuncMap{
		"number": grouped, "exact": func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
		"moment": moment, "lasting": lasting, "size": size,
		"ago": func(t time.Time) string { return ago(now(), t) },
		"iso": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	}
	layout := template.Must(template.New("layout.html").Funcs(functions).ParseFS(web, "web/layout.html"))
	names, _ := fs.Glob(web, "web/page_*.html")
	all := pages{}
	for _, n := range names {
		name := path.Base(n)
		all[name[len("page_"):len(name)-len(".html")]] = template.Must(template.Must(layout.Clone()).ParseFS(web, n))
	}
	return all
}

// page is the data of every template.
type page struct {
	Title  string
	Active string // the part of the menu
	Token  string // of the session's forms; empty without a session
	Host   string
	Error  string
	Note   string // what was begun
	Live   bool   // the script refreshes it
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
		c.Log.Error("cannot render a page", "component", "console", "page", name, "error", err)
		http.Error(w, "Cannot render the page; see the log.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	// The templates contain nothing that untrusted would change, so this catches
	// any text that is not of that type.
	_, _ = io.WriteString(w, untrusted(b.String()).String())
}

// fail shows an operator what went wrong.
func (c *Console) fail(w http.ResponseWriter, r *http.Request, s *session, code int, text string) {
	title := "Not done"
	if code == http.StatusNotFound {
		title = "Not found"
	}
	c.show(w, r, s, code, "fault", page{Title: title, Body: untrusted(text)})
}

// broken shows an error of the store.
func (c *Console) broken(w http.ResponseWriter, r *http.Request, s *session, err error) {
	c.Log.Warn("the store does not answer", "component", "console", "error", err)
	c.fail(w, r, s, http.StatusInternalServerError,
		"The store does not answer: "+err.Error()+". See the log and graphrelay status.")
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

// moment is a date and a time of day in the zone of this host; "" for the zero time.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05 -07:00")
}

// ago is roughly how long before now t was.
func ago(now, t time.Time) string {
	switch {
	case t.IsZero():
		return ""
	case t.After(now):
		return "in " + lasting(t.Sub(now))
	case now.Sub(t) < time.Second:
		return "just now"
	}
	return lasting(now.Sub(t)) + " ago"
}

// lasting formats a duration for people.
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

// grouped writes a count.
func grouped(n int) string { return text.Grouped(int64(n)) }

// size writes a size in bytes.
func size(n int64) string {
	unit := 0
	for ; n >= 10<<10 && unit < 3; unit++ {
		n >>= 10
	}
	return fmt.Sprintf("%s %s", text.Grouped(n), []string{"B", "KiB", "MiB", "GiB"}[unit])
}

// untrusted is text that came with a mail or from a client. A template shows it
// by String, so that none can forget to make invisible characters visible;
// html/template escapes it besides.
type untrusted string

func (u untrusted) String() string { return text.Lines(string(u)) }

// subject decodes the encoded words of a Subject if it can.
func subject(raw string) untrusted {
	d := mime.WordDecoder{}
	if s, err := d.DecodeHeader(raw); err == nil {
		return untrusted(s)
	}
	return untrusted(raw)
}

func addresses[T fmt.Stringer](list []T) untrusted {
	var all []string
	for _, a := range list {
		all = append(all, a.String())
	}
	return untrusted(strings.Join(all, ", "))
}
