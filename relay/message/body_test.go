package message

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// reference is the plainest statement of what Body does: NULs at the end go, then
// one byte at a time.
func reference(in []byte, rejectLF bool) (out []byte, text string) {
	if !rejectLF {
		kept := bytes.TrimRight(in, "\r\n\x00")
		in = append(bytes.Clone(kept), bytes.ReplaceAll(in[len(kept):], []byte{0}, nil)...)
		if i := bytes.IndexByte(kept, 0); i >= 0 {
			in, text = bytes.TrimRight(kept[:i], "\r"), errNUL().Error()
		}
	}
	for i := 0; i < len(in); i++ {
		crs := len(in[i:]) - len(bytes.TrimLeft(in[i:], "\r"))
		lf := i+crs < len(in) && in[i+crs] == '\n'
		switch c := in[i]; {
		case c == 0:
			return out, errNUL().Error()
		case rejectLF && (crs > 1 || crs == 1 && !lf):
			return out, errBareCR().Error()
		case rejectLF && c == '\n':
			return out, errBareLF().Error()
		case lf:
			out = append(out, '\r', '\n')
			i += crs
		case crs > 0:
			out = append(out, '\r', '\n')
		default:
			out = append(out, c)
		}
	}
	return out, text
}

// bodies are read whole, byte by byte, and in buffers around the sizes where
// the code path changes.
func readBody(in []byte, rejectLF bool, wrap func(io.Reader) io.Reader, size int) (out []byte, text string,
	notes Notes) {
	b := &Body{in: source{r: wrap(bytes.NewReader(in))}, rejectLF: rejectLF}
	buf := make([]byte, size)
	for {
		n, err := b.Read(buf)
		out = append(out, buf[:n]...)
		switch {
		case err == io.EOF:
			return out, "", b.Notes()
		case err != nil:
			return out, err.Error(), b.Notes()
		}
	}
}

func checkBody(t *testing.T, in []byte, rejectLF bool, size int) {
	t.Helper()
	want, wantErr := reference(in, rejectLF)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole":    func(r io.Reader) io.Reader { return r },
		"one byte": iotest.OneByteReader,
		"halves":   iotest.HalfReader,
		"data+err": iotest.DataErrReader,
	} {
		got, gotErr, notes := readBody(in, rejectLF, wrap, size)
		if wantErr == errNUL().Error() { // line ends behind a NUL come before it is known to be none at the end
			want, got = bytes.TrimRight(want, "\r\n"), bytes.TrimRight(got, "\r\n")
		}
		if !bytes.Equal(got, want) || gotErr != wantErr {
			t.Fatalf("%q reject=%v, %s, buffer %d:\ngot  %q %s\nwant %q %s", in, rejectLF, name, size, got, gotErr,
				want, wantErr)
		}
		text := bytes.ReplaceAll(in, []byte{0}, nil)
		lf := bytes.Count(text, []byte{'\n'}) != bytes.Count(text, []byte("\r\n"))
		cr := bytes.Count(text, []byte{'\r'}) != bytes.Count(text, []byte("\r\n"))
		if wantErr == "" && notes != (Notes{BareLF: lf, StrayCR: cr, FinalNUL: len(text) < len(in)}) {
			t.Fatalf("%q: notes %v", in, notes)
		}
	}
}

func bodySeeds() []string {
	clean := strings.Repeat("a line of text\r\n", 80)
	return []string{
		"\r\r", "\r\r\r\n", "a\r\rb", "a\r\x00\n", "x\x00\r\n", "x\r\n\x00\x00\r\n\n", "x\x00\r\ny", "x\r\x00y",
		clean + strings.Repeat("\r", 600) + "\n", clean + "\x00\r\n", clean + "\x00" + strings.Repeat("\n", 600) + "y",
		"", "\r\n", "\n", "\r", "\n\n", "\r\n\n", "\n\r\n", "a", "a\r\n", "a\n", "a\r", "\ra", "\x00",
		"\r\r\n", "\r\n\r", "a\r\n.\r\r\nb", "\n.\n", "\n.\r\n", "\r.\n", "\r\n\x00.\r\n", ".\r\n",
		clean, clean + "x\ny", clean + "\r", clean + "\r\r\n", "x\n" + clean, clean +
			"\x00", clean[:511], clean[:512], clean[:513],
		strings.Repeat("x", 511) + "\r\n", strings.Repeat("x", 511) +
			"\n", strings.Repeat("\n", 700), strings.Repeat("\r\n", 300),
	}
}

func TestBodyIsTheReferenceHoweverItIsRead(t *testing.T) {
	for _, in := range bodySeeds() {
		for _, size := range []int{1, 2, 3, 511, 512, 513, 4096} {
			checkBody(t, []byte(in), false, size)
			checkBody(t, []byte(in), true, size)
		}
	}
}

func TestBodyErrorsStay(t *testing.T) {
	b := &Body{in: source{r: strings.NewReader("a\rb")}, rejectLF: true}
	for range 3 {
		_, err := io.ReadAll(b)
		if err == nil || !strings.Contains(err.Error(), "CR without LF") {
			t.Fatalf("error %v", err)
		}
	}
	b = &Body{in: source{r: strings.NewReader("ab")}}
	for range 3 {
		if n, err := b.Read(nil); n != 0 || err != nil {
			t.Fatalf("an empty buffer gave %d, %v", n, err)
		}
	}
}

func TestBodyGivesDataBeforeTheReadersError(t *testing.T) {
	broken := errors.New("reset by peer")
	in := "text\r\nmore"
	for _, wrap := range []func(io.Reader) io.Reader{iotest.DataErrReader, iotest.OneByteReader} {
		b := &Body{in: source{r: wrap(io.MultiReader(strings.NewReader(in), iotest.ErrReader(broken)))}}
		got, err := io.ReadAll(b)
		if string(got) != in || err != broken {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

func FuzzBody(f *testing.F) {
	for i, s := range bodySeeds() {
		f.Add([]byte(s), i%2 == 0, uint16(i*37))
	}
	f.Fuzz(func(t *testing.T, in []byte, rejectLF bool, size uint16) {
		checkBody(t, in, rejectLF, 1+int(size)%2000)
	})
}
