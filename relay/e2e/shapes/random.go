package shapes

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// Random makes the MIME of a message: a tree of parts in many encodings, with
// words of their own in each text, so that a test can look for them.
func Random(r *rand.Rand) Shape {
	t := tree{r: r}
	part := t.part(0)
	return shape("random", part)
}

type tree struct {
	r     *rand.Rand
	parts int
}

// one picks one.
func one[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// word is one that no other part has.
func (t *tree) word() string {
	t.parts++
	return fmt.Sprintf("word%dx%04d", t.parts, t.r.IntN(10_000))
}

// part makes the header and the content of a part, with \n line ends.
func (t *tree) part(depth int) string {
	if depth < 3 && t.parts < 12 && t.r.IntN(2+depth) == 0 || depth == 0 && t.r.IntN(4) > 0 {
		return t.multi(depth)
	}
	switch t.r.IntN(6) {
	case 0, 1:
		return t.text("text/plain")
	case 2:
		return t.text("text/html")
	case 3:
		return "Content-Type: message/rfc822\n\nSubject: " + t.word() + "\nContent-Type: multipart/mixed; boundary=" +
			"inner\n\n" +
			"--inner\n\n" + t.word() + "\n--inner--\n"
	}
	return t.file()
}

func (t *tree) multi(depth int) string {
	kind := one(t.r, "mixed", "mixed", "alternative", "related", "report", "parallel", "x-made-up")
	var children []string
	for range 1 + t.r.IntN(3) {
		children = append(children, t.part(depth+1))
	}
	if kind == "alternative" {
		children = []string{t.text("text/plain"), t.text("text/html")}
	}
	boundary := fmt.Sprintf("=_%d.%d", depth, t.r.IntN(1_000_000))
	return bounded(kind, boundary, children...)
}

func (t *tree) text(kind string) string {
	content := t.word() + " says: caf\u00e9\n" + t.word() + "\n"
	if kind == "text/html" {
		content = "<p>" + content + "</p>"
	}
	encoding := one(t.r, "", "8bit", "quoted-printable", "base64")
	head := "Content-Type: " + kind + one(t.r, "; charset=utf-8", ";\n charset=\"UTF-8\"", "; charset=utf-8; format"+
		"=flowed") + "\n"
	if encoding != "" {
		head += "Content-Transfer-Encoding: " + encoding + "\n"
	}
	return head + "\n" + encode(encoding, content)
}

func (t *tree) file() string {
	name := one(t.r, "", "; name=a.bin", "; name=\"b c.bin\"", ";\n name*=utf-8''%C3%A4.bin", ";\n name*0=d; name*1"+
		"=.bin")
	head := "Content-Type: " + one(t.r, "application/pdf", "application/octet-stream", "image/png") + name + "\n"
	head += one(t.r, "", "Content-Disposition: attachment\n", "Content-Disposition: attachment;\n filename=\"e.bin\"\n")
	return head + "Content-Transfer-Encoding: base64\n\n" + encode("base64", t.word()+string(Octets(t.r.IntN(200))))
}

func encode(encoding, content string) string {
	switch encoding {
	case "base64":
		return strings.ReplaceAll(wrapped([]byte(content), 76), "\r\n", "\n")
	case "quoted-printable":
		return strings.NewReplacer("=", "=3D", "\u00e9", "=C3=A9").Replace(content)
	}
	return content
}

// Damaged changes a line or a few of the body, or of the header below the fields
// that every message has, as broken programs do.
func (s Shape) Damaged(r *rand.Rand) Shape {
	fields, body := strings.SplitAfter(s.Fields, "\r\n"), strings.SplitAfter(s.Body, "\r\n")
	for range 1 + r.IntN(2) {
		if r.IntN(5) == 0 {
			i := r.IntN(len(fields))
			fields[i] = damage(r, fields[i], true)
			continue
		}
		i := r.IntN(len(body))
		if special := slices.IndexFunc(body[i:], isStructure); special >= 0 && r.IntN(2) == 0 {
			i += special
		}
		switch r.IntN(8) {
		case 0:
			body = slices.Delete(body, i, i+1)
		case 1:
			body = slices.Insert(body, i, "odd word"+fmt.Sprintf("%06d", r.IntN(1_000_000))+"\r\n")
		case 2:
			body = slices.Insert(body, i, body[r.IntN(len(body))])
		case 3:
			body = body[:i+1]
		default:
			body[i] = damage(r, body[i], false)
		}
		if len(body) == 0 {
			body = []string{""}
		}
	}
	return Shape{"damaged", strings.Join(fields, ""), strings.Join(body, "")}
}

// isStructure recognizes the lines that a reader of parts looks at.
func isStructure(line string) bool {
	return strings.HasPrefix(line, "--") || strings.HasPrefix(line, "Content-") || strings.HasPrefix(line, " ")
}

// damage changes a line. In a header it stays one or goes.
func damage(r *rand.Rand, line string, header bool) string {
	text := strings.TrimRight(line, "\r\n")
	if text == "" || header && !strings.HasPrefix(text, "Content-") {
		return line
	}
	at := len(text) / 2
	switch r.IntN(7) {
	case 0:
		text = text[:at] + text[at+1:]
	case 1:
		text = strings.ReplaceAll(text, `"`, one(r, "", "'"))
	case 2:
		text += one(r, " ", "; x=y", " (made by a device)", ";")
	case 3:
		text = strings.ReplaceAll(text, "boundary=", one(r, "boundary=wrong; boundary=", "Boundary =", "boundary*=",
			"border="))
	case 4:
		text = strings.NewReplacer("base64", "base-64", "quoted-printable", "quoted_printable (x)", "8bit", "eigh"+
			"t").Replace(text)
	case 5:
		text = strings.ToUpper(text)
	case 6:
		if !header {
			text = " " + text
		}
	}
	return text + line[len(strings.TrimRight(line, "\r\n")):]
}

// Words are the words of Random, and of lines that Damaged added, that can be
// read in a message as it is.
func Words(message string) (all []string) {
	for _, w := range strings.FieldsFunc(message, func(c rune) bool { return strings.ContainsRune(" \r\n<>=", c) }) {
		if strings.HasPrefix(w, "word") && len(w) >= len("word1x0000") {
			all = append(all, w)
		}
	}
	return all
}
