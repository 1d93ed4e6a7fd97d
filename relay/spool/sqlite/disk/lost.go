package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"graphrelay/relay/envelope"
)

// NoteLost keeps the queue IDs of messages that were refused but may come back
// with the log, for the case that the program ends before the store is well:
// the next start removes them. The IDs are random, so the list can never name
// another message.
func NoteLost(path string, ids []envelope.QueueID) error {
	if len(ids) == 0 {
		return nil
	}
	var b strings.Builder
	for _, id := range ids {
		b.WriteString(string(id) + "\n")
	}
	f, err := os.OpenFile(path+LostSuffix, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = f.WriteString(b.String())
	return errors.Join(err, f.Sync(), f.Close(), syncFolder(filepath.Dir(path)))
}

func ReadLost(path string) ([]envelope.QueueID, error) {
	b, err := os.ReadFile(path + LostSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var ids []envelope.QueueID
	for line := range strings.Lines(string(b)) {
		if id, err := envelope.ParseQueueID(strings.TrimSpace(line)); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, err
}

func ForgetLost(path string) error {
	err := os.Remove(path + LostSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, syncFolder(filepath.Dir(path)))
}
