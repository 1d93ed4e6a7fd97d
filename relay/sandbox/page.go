package sandbox

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

//go:embed web
var web embed.FS

const (
	listed = 200      // messages on the page; the JSON has all that are kept
	shown  = 64 << 10 // bytes of a message on its page
)

// pages are the templates, parsed once for each handler.
type pages struct {
	d         *Double
	templates *template.Template
}

// PageHandler serves the page, the JSON and the controls. It answers only
// requests for a loopback name, so that a foreign page whose name points here
// learns nothing, and takes changes only from itself or from programs.
func (d *Double) PageHandler() http.Handler {
	p := &pages{d: d}
	functions := template.FuncMap{"show": visible, "number": grouped[int], "bytes": grouped[int64],
		"zone": func() string { return d.o.Now().Format("MST") },
		"join": func(list []string) string { return strings.Join(list, ", ") }}
	p.templates = template.Must(template.New("").Funcs(functions).ParseFS(web, "web/*.html"))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.list)
	mux.HandleFunc("GET /messages/{id}", p.message)
	mux.HandleFunc("GET /messages/{id}/html", p.html)
	mux.HandleFunc("GET /refusals", p.refusals)
	mux.HandleFunc("POST /clear", p.clear)
	mux.HandleFunc("GET /style.css", p.file)
	mux.HandleFunc("GET /script.js", p.file)
	d.controls(mux)
	return guarded(mux)
}

// guarded sets the headers of every page answer and refuses foreign hosts and
// origins.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy",
			"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-src 'self'; "+
				"base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin") // with less, a browser sends Origin: null from our own form
		h.Set("Cache-Control", "no-store")
		if !isLoopbackHost(r.Host) || !sameOrigin(r) {
			http.Error(w, "The sandbox answers on loopback names and to itself only.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isLoopbackHost(host string) bool {
	if name, _, ok := strings.Cut(host, ":"); ok && !strings.HasPrefix(host, "[") {
		host = name
	} else if end := strings.LastIndexByte(host, ']'); strings.HasPrefix(host, "[") && end > 0 {
		host = host[1:end]
	}
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// sameOrigin lets through what is no browser, reads, and the page's own.
func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	return r.Method == http.MethodGet || origin == "" || origin == "http://"+r.Host
}

// list shows the newest messages, or those of all that are kept in which the
// query stands.
func (p *pages) list(w http.ResponseWriter, r *http.Request) {
	query := strings.TrimSpace(r.URL.Query().Get("q"))
	messages := slices.DeleteFunc(p.d.Messages(), func(m Message) bool { return !m.shows(query) })
	found := len(messages)
	messages = messages[max(0, found-listed):]
	slices.Reverse(messages)
	_, refused := p.d.Refusals()
	p.render(w, "list.html", map[string]any{"Messages": messages, "Count": p.d.Count(), "Refused": refused,
		"Faults": len(p.d.Faults()), "Query": query, "Found": found, "Cut": found > listed, "Listed": listed})
}

// shows reports whether what the list shows of a message contains text, in upper or
// lower case.
func (m Message) shows(text string) bool {
	shown := append([]string{m.Subject, m.From, m.Mailbox, m.MessageID}, m.Recipients...)
	return strings.Contains(fold(strings.Join(shown, "\n")), fold(text))
}

func (p *pages) refusals(w http.ResponseWriter, _ *http.Request) {
	list, count := p.d.Refusals()
	slices.Reverse(list)
	p.render(w, "refusals.html", map[string]any{"Refusals": list, "Count": count})
}

// clear forgets what came so far, and shows the empty list.
func (p *pages) clear(w http.ResponseWriter, r *http.Request) {
	p.d.Reset()
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (p *pages) message(w http.ResponseWriter, r *http.Request) {
	id, _ := strconv.Atoi(r.PathValue("id")) // 0 is nobody's
	m, ok := p.d.Message(id)
	if !ok {
		http.Error(w, "This message is not kept.", http.StatusNotFound)
		return
	}
	raw, _ := p.d.Raw(id) // the page says when there is none
	text := raw[:min(len(raw), shown)]
	html, _ := htmlOf(m.Form, raw)
	p.render(w, "message.html", map[string]any{"Message": m, "Text": visible(string(text)), "Cut": len(raw) > shown,
		"HTML": html != nil})
}

func (p *pages) file(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, web, "web"+r.URL.Path)
}

func (p *pages) render(w http.ResponseWriter, name string, data any) {
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, name, data); err != nil {
		p.d.log.Error("the page could not be made", "page", name, "error", err)
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(b.Bytes())
}

// visible makes text safe to look at: control characters appear as symbols,
// octets that are no UTF-8 and characters that steer the direction of text or
// take no room as escapes. A CRLF becomes a plain line end; a CR or LF alone
// stays visible before it.
func visible(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		c, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case c == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case c == '\r' && strings.HasPrefix(s[i:], "\r\n"):
			b.WriteByte('\n')
			size = 2
		case c == '\t':
			b.WriteByte('\t')
		case c == '\n':
			b.WriteString("\u240a\n")
		case c < ' ':
			b.WriteRune(0x2400 + c)
		case c == 0x7f:
			b.WriteRune(0x2421)
		case !unicode.IsGraphic(c), unicode.Is(unicode.Cf, c):
			fmt.Fprintf(&b, `\u{%x}`, c)
		default:
			b.WriteRune(c)
		}
		i += size
	}
	return b.String()
}

// grouped writes a number with a comma between each three digits.
func grouped[T int | int64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
