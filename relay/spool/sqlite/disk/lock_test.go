package disk

import (
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// A lock that was given back can be had again at once, although a program that is just being started
// still has its file.
func TestLockWhileProgramsStart(t *testing.T) {
	stop := make(chan struct{})
	var starting sync.WaitGroup
	for range 2 {
		starting.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = exec.Command("true").Run()
				}
			}
		})
	}
	path := filepath.Join(t.TempDir(), "queue.db")
	for range 200 {
		f, err := Lock(path, syscall.LOCK_EX)
		if err != nil {
			t.Error(err)
			break
		}
		_ = f.Close()
	}
	close(stop)
	starting.Wait()
}
