package main

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

// Standard error that nobody reads blocks nothing, and who reads it again learns how
// many lines are missing.
func TestLogThatNobodyReads(t *testing.T) {
	read, write := io.Pipe()
	l := newLogLines(write)
	log := slog.New(slog.NewTextHandler(l, nil))
	for n := range maxLines + 100 {
		log.Info("line", "n", n)
	}
	if lost := l.Lost(); lost < 99 || lost > 100 { // one line is on its way
		t.Errorf("%d lines are lost", lost)
	}
	go l.reportTo(log, time.Millisecond)
	want := fmt.Sprintf("log lines were lost: standard error did not take them\" lines=%d", l.Lost())
	for lines := bufio.NewScanner(read); lines.Scan(); {
		if strings.Contains(lines.Text(), want) {
			break
		}
	}
	go func() { _, _ = io.Copy(io.Discard, read) }()
	l.Close()
	log.Info("after the end")
}

// A reader of standard error that is gone ends nothing.
func TestLogWhoseReaderIsGone(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l := newLogLines(write)
	read.Close()
	for range 3 {
		_, _ = l.Write([]byte("line\n"))
	}
	l.Close()
	if l.Lost() != 3 {
		t.Errorf("%d of 3 lines are lost", l.Lost())
	}
}
