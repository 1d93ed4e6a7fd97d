package smtpd

import "sync"

const (
	// maxLine bounds a command line with its end. RFC 5321 section 4.5.3.1.4
	// asks for 512 octets, and parameters add to that.
	maxLine = 2048
	// bodyBuffer is what is read at once while a message arrives.
	bodyBuffer = 32 << 10
)

// buffers lends connections their input buffers: a small one for commands, so
// that idle connections are cheap, and a large one while a message arrives.
type buffers struct{ small, large sync.Pool }

func (b *buffers) init() {
	b.small.New = func() any { return new([maxLine]byte) }
	b.large.New = func() any { return new([bodyBuffer]byte) }
}

// input is the buffer between the socket and whoever reads: command lines,
// messages, chunks.
type input struct {
	pools *buffers
	small *[maxLine]byte
	large *[bodyBuffer]byte // nil but around a message
	buf   []byte            // one of them
	r, w  int
}

func (in *input) init(pools *buffers) {
	in.pools = pools
	in.small = pools.small.Get().(*[maxLine]byte)
	in.buf = in.small[:]
}

// bytes are what was read and not yet skipped; they stay valid until free.
func (in *input) bytes() []byte { return in.buf[in.r:in.w] }

func (in *input) skip(n int) { in.r += n }

// free returns the room to read into. It is empty only when len(buf) bytes wait.
func (in *input) free() []byte {
	if in.r == in.w {
		in.r, in.w = 0, 0
	}
	if in.w == len(in.buf) {
		in.w = copy(in.buf, in.bytes())
		in.r = 0
	}
	return in.buf[in.w:]
}

func (in *input) enlarge() {
	if in.large != nil {
		return
	}
	in.large = in.pools.large.Get().(*[bodyBuffer]byte)
	in.w = copy(in.large[:], in.bytes())
	in.r = 0
	in.buf = in.large[:]
}

// shrink gives the large buffer back once the rest fits the small one.
func (in *input) shrink() {
	if in.large == nil || in.w-in.r > len(in.small) {
		return
	}
	in.w = copy(in.small[:], in.bytes())
	in.r = 0
	in.buf = in.small[:]
	in.pools.large.Put(in.large)
	in.large = nil
}

// release gives all buffers back; the input is empty and of no more use.
func (in *input) release() {
	if in.small == nil {
		return
	}
	in.r, in.w = 0, 0
	in.shrink()
	in.pools.small.Put(in.small)
	in.small, in.buf = nil, nil
}
