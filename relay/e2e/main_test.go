package e2e_test

import (
	"flag"
	"os"
	"testing"
)

// The tests mostly wait for programs, so more of them run at a time than there are
// processors.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
