package main

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"graphrelay/config"
)

func TestJournalLinesBeginWithTheirPriority(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(newJournalHandler(&out, config.Log{Format: "text"},
		&slog.HandlerOptions{Level: slog.LevelInfo})).With("a", 1).WithGroup("g")
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError, levelAlert} {
		log.Log(context.Background(), l, "x", "b", "two\nlines")
	}
	const rest = ` msg=x a=1 g.b="two\nlines"` + "\n"
	want := "<6>level=INFO" + rest + "<4>level=WARN" + rest + "<3>level=ERROR" + rest + "<1>level=ERROR+4" + rest
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
