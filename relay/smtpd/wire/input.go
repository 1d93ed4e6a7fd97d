package wire

import "sync"

const (
	// MaxLine bounds a command line with its end. RFC 5321 section 4.5.3.1.4
	// asks for 512 octets, and parameters add to that.
	MaxLine = 2048
	// bodyBuffer is how much is read at once while a message arrives.
	bodyBuffer = 32 << 10
)

// Buffers lends connections their input buffers: a small one for commands, so
// that idle connections are cheap, and a large one while a message arrives.
type Buffers struct{ small, large sync.Pool }

// Init must be called before all use.
func (b *Buffers) Init() {
	b.small.New = func() any { return new([MaxLine]byte) }
	b.large.New = func() any { return new([bodyBuffer]byte) }
}

// Input is the buffer between the socket and what is cut from it: command lines,
// messages, chunks.
type Input struct {
	pools *Buffers
	small *[MaxLine]byte
	large *[bodyBuffer]byte // nil but around a message
	buf   []byte            // one of them
	r, w  int
}

// Init borrows the small buffer.
func (in *Input) Init(pools *Buffers) {
	in.pools = pools
	in.small = pools.small.Get().(*[MaxLine]byte)
	in.buf = in.small[:]
}

// Bytes are those read and not yet skipped. They stay valid until Free.
func (in *Input) Bytes() []byte { return in.buf[in.r:in.w] }

// Skip drops the next n bytes.
func (in *Input) Skip(n int) { in.r += n }

// Free returns the room to read into. It is empty only if the buffer is full.
func (in *Input) Free() []byte {
	if in.r == in.w {
		in.r, in.w = 0, 0
	}
	if in.w == len(in.buf) {
		in.w = copy(in.buf, in.Bytes())
		in.r = 0
	}
	return in.buf[in.w:]
}

// Filled adds the first n bytes of what Free returned.
func (in *Input) Filled(n int) { in.w += n }

// Enlarge borrows the large buffer until Shrink.
func (in *Input) Enlarge() {
	if in.large != nil {
		return
	}
	in.large = in.pools.large.Get().(*[bodyBuffer]byte)
	in.w = copy(in.large[:], in.Bytes())
	in.r = 0
	in.buf = in.large[:]
}

// Shrink gives the large buffer back once the rest fits the small one.
func (in *Input) Shrink() {
	if in.large == nil || in.w-in.r > len(in.small) {
		return
	}
	in.w = copy(in.small[:], in.Bytes())
	in.r = 0
	in.buf = in.small[:]
	in.pools.large.Put(in.large)
	in.large = nil
}

// Release gives all buffers back. The Input is then empty and of no more use.
func (in *Input) Release() {
	if in.small == nil {
		return
	}
	in.r, in.w = 0, 0
	in.Shrink()
	in.pools.small.Put(in.small)
	in.small, in.buf = nil, nil
}
