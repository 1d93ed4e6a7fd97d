package message

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// reference is the plainest statement of what Body does: one byte at a time.
func reference(in []byte, rejectLF bool) (out []byte, text string) {
	for i := 0; i < len(in); i++ {
		switch c := in[i]; {
		case c == 0:
			return out, errNUL().Error()
		case c == '\r' && (i+1 == len(in) || in[i+1] != '\n'):
			return out, errBareCR().Error()
		case c == '\r':
			out = append(out, '\r', '\n')
			i++
		case c == '\n' && rejectLF:
			return out, errBareLF().Error()
		case c == '\n':
			out = append(out, '\r', '\n')
		default:
			out = append(out, c)
		}
	}
	return out, ""
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
		if !bytes.Equal(got, want) || gotErr != wantErr {
			t.Fatalf("%q reject=%v, %s, buffer %d:\ngot  %q %s\nwant %q %s", in, rejectLF, name, size, got, gotErr,
				want, wantErr)
		}
		lf := bytes.Count(in, []byte{'\n'}) != bytes.Count(in, []byte("\r\n"))
		if wantErr == "" && notes.BareLF != lf {
			t.Fatalf("%q: notes %v", in, notes)
		}
	}
}

func bodySeeds() []string {
	clean := strings.Repeat("a line of text\r\n", 80)
	return []string{
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
	b := &Body{in: source{r: strings.NewReader("a\rb")}}
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
