package message

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"graphrelay/relay/reply"
)

const (
	defaultMaxHeader = 1 << 20
	maxFields        = 10000 // bounds the index of a header made of tiny fields
	chunkSize        = 4096
)

// Read takes exactly the header block from r and returns it with a Body that
// yields the rest. It returns a *reply.Error for a header that cannot be
// accepted, 550 5.6.0 or 552 5.3.4, or the error of r unchanged. A message that
// ends after its header fields, without an empty line, has an empty body; one
// whose first line is no field has an empty header.
func Read(r io.Reader, o Options) (*Header, *Body, error) {
	if o.MaxHeader <= 0 {
		o.MaxHeader = defaultMaxHeader
	}
	s := scanner{
		h:   &Header{raw: make([]byte, 0, chunkSize), fields: make([]field, 0, 32)},
		in:  source{r: r},
		buf: make([]byte, chunkSize),
		opt: o,
	}
	if err := s.run(); err != nil {
		return nil, nil, err
	}
	return s.h, &Body{in: s.in, rejectLF: o.RejectBareLF, notes: s.h.notes}, nil
}

// source is a reader with input that was read from it too early.
type source struct {
	r    io.Reader
	rest []byte
	err  error // of r, returned when rest is empty
}

// Read returns rest first. It never returns 0 and no error for a p that is not
// empty.
func (s *source) Read(p []byte) (int, error) {
	if len(s.rest) > 0 {
		n := copy(p, s.rest)
		s.rest = s.rest[n:]
		return n, nil
	}
	for range 100 {
		if s.err != nil {
			return 0, s.err
		}
		var n int
		if n, s.err = s.r.Read(p); n > 0 {
			return n, nil
		}
	}
	s.err = io.ErrNoProgress
	return 0, s.err
}

// scanner cuts the header block into lines and the lines into fields.
type scanner struct {
	h     *Header
	in    source
	buf   []byte // what in.rest is cut from
	opt   Options
	lines int  // for the texts of refusals
	cut   bool // the last line had no line end: the input ended
}

func (s *scanner) run() error {
	for {
		start := len(s.h.raw)
		err := s.line()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		done, err := s.take(start)
		if err != nil {
			return err
		}
		if done {
			break
		}
	}
	return s.h.checkSingle()
}

// line appends one line to the raw header, with CRLF whatever its line end was.
// io.EOF means that there is none.
func (s *scanner) line() error {
	start := len(s.h.raw)
	for {
		i := bytes.IndexByte(s.in.rest, '\n')
		if i >= 0 {
			s.h.raw = append(s.h.raw, s.in.rest[:i+1]...)
			s.in.rest = s.in.rest[i+1:]
			return s.canonical(start)
		}
		s.h.raw = append(s.h.raw, s.in.rest...)
		s.in.rest = nil
		if err := s.checkSize(); err != nil {
			return err
		}
		err := s.fill()
		if err == io.EOF && len(s.h.raw) > start {
			s.cut = true
			s.h.raw = append(s.h.raw, "\r\n"...)
			return s.canonical(start)
		}
		if err != nil {
			return err
		}
	}
}

func (s *scanner) fill() error {
	n, err := s.in.Read(s.buf)
	s.in.rest = s.buf[:n]
	return err
}

// canonical gives the line at start a CRLF and checks its characters. It checks
// the size first, so that the reply does not depend on how the input arrives.
func (s *scanner) canonical(start int) error {
	s.lines++
	n := len(s.h.raw) - 1
	bare := n == start || s.h.raw[n-1] != '\r'
	if bare {
		s.h.raw = append(s.h.raw[:n], "\r\n"...)
	} else {
		n--
	}
	line := s.h.raw[start:n]
	switch {
	case s.checkSize() != nil:
		return s.checkSize()
	case bare && s.opt.RejectBareLF:
		return errBareLF()
	case bytes.IndexByte(line, '\r') >= 0:
		return errBareCR()
	case bytes.IndexByte(line, 0) >= 0:
		return errNUL()
	}
	s.h.notes.BareLF = s.h.notes.BareLF || bare
	return nil
}

func (s *scanner) checkSize() error {
	if len(s.h.raw) > s.opt.MaxHeader {
		return reply.New(552, reply.Enhanced{5, 3, 4}, "Message header is too large")
	}
	return nil
}

// take decides what the line at start is; done ends the header.
func (s *scanner) take(start int) (done bool, err error) {
	line := s.h.raw[start : len(s.h.raw)-2]
	switch {
	case len(line) == 0:
		s.h.raw = s.h.raw[:start]
		return true, nil
	case line[0] == ' ' || line[0] == '\t':
		return false, s.continuation(start, line)
	}
	name, colon := cutName(line)
	if name == 0 || colon < 0 {
		return s.notAField(start, line, name)
	}
	if colon > name { // "Subject : x" is obsolete, and not every reader finds the field
		s.h.raw = append(s.h.raw[:start+name], s.h.raw[start+colon:]...)
		s.h.notes.SpaceColon = true
	}
	return false, s.add(start, start+name)
}

// cutName returns the length of a field name and the place of its colon, which
// blanks may precede; colon is -1 if the line is not a field.
func cutName(line []byte) (name, colon int) {
	for name < len(line) && line[name] > ' ' && line[name] < 0x7f && line[name] != ':' {
		name++
	}
	colon = name
	for colon < len(line) && (line[colon] == ' ' || line[colon] == '\t') {
		colon++
	}
	if colon == len(line) || line[colon] != ':' {
		return name, -1
	}
	return name, colon
}

// IsField reports whether a line begins a field.
func IsField(line []byte) bool {
	name, colon := cutName(line)
	return name > 0 && colon >= 0
}

func (s *scanner) add(start, colon int) error {
	h := s.h
	if len(h.fields) == maxFields {
		return reply.New(552, reply.Enhanced{5, 3, 4}, "Message header has too many fields")
	}
	h.fields = append(h.fields, field{
		start: int32(start), colon: int32(colon), end: int32(len(h.raw)),
		kind: kindOf(h.raw[start:colon]),
	})
	return nil
}

// continuation drops a fold that looks blank: some readers would end the header
// there, and to the others it means nothing.
func (s *scanner) continuation(start int, line []byte) error {
	h := s.h
	if len(h.fields) == 0 {
		return refuse("Message header begins with a continuation line")
	}
	if len(bytes.Trim(line, " \t\v\f")) == 0 {
		h.raw = h.raw[:start]
		h.notes.BlankFold = true
		return nil
	}
	h.fields[len(h.fields)-1].end = int32(len(h.raw))
	return nil
}

// notAField deals with a line that is neither field, fold nor empty. As the
// message's first line it means that there is no header at all, and as body it
// is harmless. Further down it could be the end of the header or damage to it:
// readers differ, so it is refused.
func (s *scanner) notAField(start int, line []byte, name int) (done bool, err error) {
	if len(s.h.fields) > 0 {
		return true, refuse(fmt.Sprintf("Header line %d %s", s.lines, faultOf(line, name)))
	}
	if isMboxFrom(line) {
		s.h.raw = s.h.raw[:start]
		s.h.notes.MboxFrom = true
		return false, nil
	}
	s.h.notes.NoHeader = true
	back := s.h.raw[start:]
	if s.cut {
		back = back[:len(back)-2]
	}
	s.in.rest = append(bytes.Clone(back), s.in.rest...)
	s.h.raw = s.h.raw[:start]
	return true, nil
}

func faultOf(line []byte, name int) string {
	switch {
	case bytes.IndexByte(line, ':') < 0:
		return "has no colon"
	case name == 0 && line[0] == ':':
		return "has no field name"
	case line[name] == ' ' || line[name] == '\t':
		return "has a blank in the field name"
	}
	return "has a field name that is not printable ASCII"
}

// isMboxFrom recognizes the separator of mbox files by its date, so that a text
// that begins with the word From is not taken for one.
func isMboxFrom(line []byte) bool {
	if !bytes.HasPrefix(bytes.TrimPrefix(line, []byte(">")), []byte("From ")) {
		return false
	}
	const days, months = " Sun Mon Tue Wed Thu Fri Sat ", " Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec "
	words := strings.Fields(string(line))
	for i := 1; i+1 < len(words); i++ {
		if strings.Contains(days, " "+words[i]+" ") && strings.Contains(months, " "+words[i+1]+" ") {
			return true
		}
	}
	return false
}

// checkSingle refuses what readers resolve differently: the first From, the
// last, or both. Repeated To, Cc and Bcc are merged by Apply.
func (h *Header) checkSingle() error {
	var count [kindOurs + 1]int
	for _, f := range h.fields {
		count[f.kind]++
	}
	switch {
	case count[kindFrom] > 1:
		return refuse("Message has more than one From field")
	case count[kindSender] > 1:
		return refuse("Message has more than one Sender field")
	}
	return nil
}

func errBareCR() error { return refuse("Message contains a CR without LF") }
func errBareLF() error { return refuse("Message contains a LF without CR") }
func errNUL() error    { return refuse("Message contains a NUL character") }
