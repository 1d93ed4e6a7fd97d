package sqlite

import (
	"errors"
	"testing"
	"time"

	"graphrelay/relay/spool"
)

func TestMaxMessages(t *testing.T) {
	s, err := Open(t.Context(), Options{Path: newPath(t), MaxMessages: 2, BallastSize: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	first := accept(t, s, newMessage(t, "box@example.org"), []byte("body"))
	accept(t, s, newMessage(t, "box@example.org"), []byte("body"))
	if err := s.Admit("", 1); !errors.Is(err, spool.ErrFull) {
		t.Errorf("Admit of a third: %v", err)
	}
	if err := tryAccept(s, newMessage(t, "box@example.org"), []byte("body")); !errors.Is(err, spool.ErrFull) {
		t.Errorf("Begin of a third: %v", err)
	}
	if err := s.Move(t.Context(), first.ID, spool.Failed, time.Time{}, "no more", start()); err != nil {
		t.Fatal(err)
	}
	accept(t, s, newMessage(t, "box@example.org"), []byte("body"))
}
