package torture

import "testing"

const goodTrace = `100 write(5</s/queue.db-wal>, "early", 5) = 5
101 pwrite64(5</s/queue.db-wal>, "xxMARKxx", 8, 0) = 8
101 pwrite64(5</s/queue.db-wal>, "commit", 6, 8 <unfinished ...>
100 write(9<TCP:[1->2]>, "354 go\r\n", 8) = 8
101 <... pwrite64 resumed>) = 6
101 fdatasync(5</s/queue.db-wal> <unfinished ...>
100 futex(0x1, FUTEX_WAIT) = 0
101 <... fdatasync resumed>) = 0
100 write(9<TCP:[1->2]>, "250 2.0.0 id\r\n", 14) = 14
`

func TestFlushedBefore(t *testing.T) {
	if err := flushedBefore(readTrace(goodTrace), "/s/queue.db", "MARK"); err != nil {
		t.Error(err)
	}
	for name, trace := range map[string]string{
		"no flush": `101 pwrite64(5</s/queue.db-wal>, "MARK", 4, 0) = 4
100 write(9<TCP:[1->2]>, "250 2.0.0 id\r\n", 14) = 14
`,
		"flush failed": `101 pwrite64(5</s/queue.db-wal>, "MARK", 4, 0) = 4
101 fsync(5</s/queue.db-wal>) = -1 EIO (Input/output error) (INJECTED)
100 write(9<TCP:[1->2]>, "250 2.0.0 id\r\n", 14) = 14
`,
		"flush of another file": `101 pwrite64(5</s/queue.db-wal>, "MARK", 4, 0) = 4
101 fsync(6</s/queue.db>) = 0
100 write(9<TCP:[1->2]>, "250 2.0.0 id\r\n", 14) = 14
`,
		"flush before the last write": `101 pwrite64(5</s/queue.db-wal>, "MARK", 4, 0) = 4
101 fsync(5</s/queue.db-wal>) = 0
101 pwrite64(5</s/queue.db-wal>, "commit", 6, 8) = 6
100 write(9<TCP:[1->2]>, "250 2.0.0 id\r\n", 14) = 14
`,
		"flush ends after the answer": `101 pwrite64(5</s/queue.db-wal>, "MARK", 4, 0) = 4
101 fsync(5</s/queue.db-wal> <unfinished ...>
100 write(9<TCP:[1->2]>, "250 2.0.0 id\r\n", 14) = 14
101 <... fsync resumed>) = 0
`,
		"no answer": `101 pwrite64(5</s/queue.db-wal>, "MARK", 4, 0) = 4
101 fsync(5</s/queue.db-wal>) = 0
`,
	} {
		if flushedBefore(readTrace(trace), "/s/queue.db", "MARK") == nil {
			t.Errorf("%s passes", name)
		}
	}
}

func TestFailedFlushOf(t *testing.T) {
	const write, failed = `101 pwrite64(5</s/queue.db-wal>, "MARK", 4, 0) = 4
`, `101 fsync(5</s/queue.db-wal>) = -1 EIO (Input/output error) (INJECTED)
`
	if err := failedFlushOf(readTrace(write+failed), "/s/queue.db", "MARK"); err != nil {
		t.Error(err)
	}
	for name, trace := range map[string]string{
		"the fault hit an earlier commit": failed + write + failed,
		"another message":                 `101 pwrite64(5</s/queue.db-wal>, "other", 5, 0) = 5` + "\n" + failed,
		"another file": write +
			`101 fsync(6</s/queue.db>) = -1 EIO (Input/output error) (INJECTED)` + "\n",
		"the flush did not fail": write + `101 fsync(5</s/queue.db-wal>) = 0` + "\n" + failed,
		"no flush":               write,
	} {
		if failedFlushOf(readTrace(trace), "/s/queue.db", "MARK") == nil {
			t.Errorf("%s passes", name)
		}
	}
}
