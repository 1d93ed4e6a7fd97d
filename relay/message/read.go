package message

import (
	"bytes"
	"io"

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
// whose first line is no field has an empty header. Some of what makes a header
// unacceptable shows only in what follows it: then Body returns the refusal.
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
	b := &Body{in: s.in, rejectLF: o.RejectBareLF, notes: s.h.notes, nul: s.nul}
	b.text.refusal = s.ifField
	return s.h, b, nil
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
	h       *Header
	in      source
	buf     []byte // what in.rest is cut from
	opt     Options
	lines   int  // for the texts of refusals
	cut     bool // the last line had no line end: the input ended
	dropped int  // bytes of lines that are in no field
	long    bool // the first line is longer than a header may be, and is text
	nul     bool // a NUL was dropped: nothing but line ends may follow
	innerCR bool // a CR within a line of the header became a blank

	was       []byte // the last line as it came, if characters of it were mended
	nulBefore bool   // nul without that line

	from    []byte // a first line "From ..." until it is known what follows
	ifField error  // the refusal if what was taken for text has a field after all
}

func (s *scanner) run() error {
	for {
		start := len(s.h.raw)
		err := s.line()
		if err == io.EOF {
			err = s.resolve(start, nil)
			if err == nil && s.innerCR && !s.h.notes.NoHeader {
				return errBareCR() // lines that end in CR alone: the whole text would hide in a field
			}
			if err == nil {
				break
			}
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
	s.was = nil
	for {
		i := bytes.IndexByte(s.in.rest, '\n')
		piece := s.in.rest
		if i >= 0 {
			piece = piece[:i+1]
		}
		s.h.raw = append(s.h.raw, piece...)
		s.in.rest = s.in.rest[len(piece):]
		switch {
		case s.isLongText(start):
			s.long = true
			return nil
		case i >= 0:
			return s.canonical(start)
		}
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

// canonical gives the line at start a CRLF and mends or refuses its other CRs and
// NULs. It checks the size first, so that the reply does not depend on how the
// input arrives.
func (s *scanner) canonical(start int) error {
	s.lines++
	n := len(s.h.raw) - 1
	bare := n == start || s.h.raw[n-1] != '\r'
	if bare {
		s.h.raw = append(s.h.raw[:n], "\r\n"...)
	} else {
		n--
	}
	if err := s.checkSize(); err != nil {
		return err
	}
	line := s.h.raw[start:n]
	odd := bytes.IndexByte(line, '\r') >= 0 || bytes.IndexByte(line, 0) >= 0 || s.nul && len(line) > 0
	switch {
	case bare && s.opt.RejectBareLF:
		return errBareLF()
	case odd && s.opt.RejectBareLF:
		return oddCharacter(line)
	}
	s.h.notes.BareLF = s.h.notes.BareLF || bare
	if odd {
		return s.mendCharacters(start, line)
	}
	return nil
}

func oddCharacter(line []byte) error {
	if bytes.IndexByte(line, '\r') >= 0 {
		return errBareCR()
	}
	return errNUL()
}

// mendCharacters takes any number of CRs before the LF for one line end, and any
// other for a blank: it never ends a line of the header. A NUL may only be among
// the last characters of the message.
func (s *scanner) mendCharacters(start int, line []byte) error {
	kept := bytes.TrimRight(line, "\r\x00")
	if bytes.IndexByte(kept, 0) >= 0 || s.nul && len(kept) > 0 {
		return errNUL()
	}
	s.was, s.nulBefore = bytes.Clone(line), s.nul
	s.nul = s.nul || bytes.IndexByte(line, 0) >= 0
	notes := &s.h.notes
	notes.FinalNUL = notes.FinalNUL || s.nul
	notes.StrayCR = notes.StrayCR || bytes.IndexByte(line, '\r') >= 0
	if s.hidesAuthor(kept) {
		return errBareCR()
	}
	for i, c := range kept {
		if c == '\r' {
			kept[i], s.innerCR = ' ', true
		}
	}
	s.h.raw = append(s.h.raw[:start+len(kept)], "\r\n"...)
	return nil
}

// hidesAuthor reports whether a line belongs to a field of an author in which
// readers that end a line at a CR find another address, or another field.
func (s *scanner) hidesAuthor(line []byte) bool {
	first, rest, found := bytes.Cut(line, []byte{'\r'})
	if !found {
		return false
	}
	f, before := field{}, []byte(nil)
	name, colon := cutName(line)
	if n := len(s.h.fields); colon >= 0 {
		f.kind = kindOf(line[:name])
	} else if n > 0 && (isBlank(line[0]) || line[0] == '\r') {
		f = s.h.fields[n-1]
		before = s.h.value(f)
	}
	if !f.isAuthor() {
		return false
	}
	hidden := bytes.IndexByte(first, '@') >= 0 || bytes.IndexByte(before, '@') >= 0
	for piece := range bytes.SplitSeq(rest, []byte{'\r'}) {
		hidden = hidden || IsField(piece)
	}
	return hidden
}

func (s *scanner) checkSize() error {
	if len(s.h.raw)+s.dropped > s.opt.MaxHeader {
		return reply.New(552, reply.Enhanced{5, 3, 4}, "Message header is too large")
	}
	return nil
}

// drop removes the line at start; it counts, so that a flood of such lines ends.
func (s *scanner) drop(start int) {
	s.dropped += len(s.h.raw) - start
	s.h.raw = s.h.raw[:start]
}

// take decides what the line at start is; done ends the header.
func (s *scanner) take(start int) (done bool, err error) {
	if s.long {
		s.noHeader(start)
		return true, nil
	}
	s.dropMark(start)
	line := s.h.raw[start : len(s.h.raw)-2]
	if s.from != nil {
		if err := s.resolve(start, line); err != nil || s.h.notes.NoHeader {
			return true, err
		}
	}
	switch {
	case len(line) == 0:
		s.h.raw = s.h.raw[:start]
		return true, nil
	case isBlank(line[0]) && len(s.h.fields) == 0:
		return true, s.text(start, line, refuse("Message header begins with a continuation line"))
	case isBlank(line[0]):
		s.continuation(start, line)
		return false, nil
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
	for colon < len(line) && isBlank(line[colon]) {
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
func (s *scanner) continuation(start int, line []byte) {
	h := s.h
	if len(bytes.Trim(line, " \t\v\f")) == 0 {
		s.drop(start)
		h.notes.BlankFold = true
		return
	}
	h.fields[len(h.fields)-1].end = int32(len(h.raw))
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
