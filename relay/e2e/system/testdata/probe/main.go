// Command probe tries what somebody might who had taken over the service's process,
// and prints a line for each: the name, then "done" or the error.
package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	if len(os.Args) > 1 {
		return // what ownProgram and fromMemory run
	}
	for _, try := range []struct {
		name string
		do   func() error
	}{
		{"run a shell", func() error { return exec.Command("/usr/bin/sh", "-c", "true").Run() }},
		{"run a program in its folder", ownProgram("/var/lib/graphrelay")},
		{"run a program beside it", ownProgram("/var/lib/graphrelay-seen")},
		{"run a program in /run/graphrelay", ownProgram("/run/graphrelay")},
		{"run a program in /tmp", ownProgram("/tmp")},
		{"run a program in /var/tmp", ownProgram("/var/tmp")},
		{"run a program in /dev/shm", ownProgram("/dev/shm")},
		{"run from memory", fromMemory},
		{"write and execute memory", executable},
		{"write /etc", func() error { return os.WriteFile("/etc/graphrelay/x", nil, 0o600) }},
		{"write /usr/bin/graphrelay", func() error { return os.WriteFile("/usr/bin/graphrelay", nil, 0o600) }},
		{"write /run", func() error { return os.WriteFile("/run/x", nil, 0o600) }},
		{"write the root", func() error { return os.WriteFile("/x", nil, 0o600) }},
		{"read a file of root", readable("/etc/shadow")},
		{"see /root", func() error { _, err := os.ReadDir("/root"); return err }},
		{"see the memory of PID 1", readable("/proc/1/environ")},
		{"trace a process", func() error { return syscall.PtraceAttach(1) }},
		{"open a raw socket", socket(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_ICMP)},
		{"open a packet socket", socket(syscall.AF_PACKET, syscall.SOCK_RAW, 0)},
		{"open a netlink socket", socket(syscall.AF_NETLINK, syscall.SOCK_RAW, 0)},
		{"make a user namespace", func() error { return syscall.Unshare(syscall.CLONE_NEWUSER) }},
		{"mount", func() error { return syscall.Mount("x", "/tmp", "tmpfs", 0, "") }},
		{"become root", func() error { return syscall.Setuid(0) }},
		{"make a setuid file", func() error { return setuidFile("/var/lib/graphrelay/suid") }},
		{"set the clock", func() error { now := syscall.Timeval{Sec: 1}; return syscall.Settimeofday(&now) }},
		{"raise its priority", func() error { return syscall.Setpriority(syscall.PRIO_PROCESS, 0, -10) }},
		{"listen below 1024", listen("127.0.0.1:99")},
		{"listen at UDP", udp},
		{"ask the metadata service", func() error { return dial("169.254.169.254:80") }},
		{"write the store", func() error { return os.WriteFile("/var/lib/graphrelay/probe", nil, 0o600) }},
		{"listen at TCP", listen("127.0.0.1:2599")},
	} {
		result := "done"
		if err := try.do(); err != nil {
			result = err.Error()
		}
		fmt.Printf("%s: %s\n", try.name, strings.ReplaceAll(result, "\n", " "))
	}
}

// ownProgram copies this one to a folder where the service may write, and runs it.
func ownProgram(dir string) func() error {
	return func() error {
		b, err := os.ReadFile("/proc/self/exe")
		if err != nil {
			return err
		}
		path := dir + "/program"
		if err := os.WriteFile(path, b, 0o700); err != nil {
			return err
		}
		defer os.Remove(path)
		return exec.Command(path, "x").Run()
	}
}

// fromMemory runs a program that is in no folder.
func fromMemory() error {
	name := []byte("x\x00")
	fd, _, errno := syscall.Syscall(319, uintptr(unsafe.Pointer(&name[0])), 0, 0) // memfd_create
	if errno != 0 {
		return errno
	}
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	if _, err := syscall.Write(int(fd), b); err != nil {
		return err
	}
	return exec.Command(fmt.Sprintf("/proc/self/fd/%d", fd), "x").Run()
}

func executable() error {
	b, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil // not what is tried
	}
	return syscall.Mprotect(b, syscall.PROT_READ|syscall.PROT_EXEC)
}

func setuidFile(path string) error {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return nil // not what is tried
	}
	defer os.Remove(path)
	return syscall.Chmod(path, 0o4755)
}

func readable(path string) func() error {
	return func() error { _, err := os.ReadFile(path); return err }
}

func socket(family, kind, protocol int) func() error {
	return func() error { _, err := syscall.Socket(family, kind, protocol); return err }
}

func listen(address string) func() error {
	return func() error {
		l, err := net.Listen("tcp", address)
		if err == nil {
			l.Close()
		}
		return err
	}
}

func udp() error {
	c, err := net.ListenPacket("udp", "127.0.0.1:5353")
	if err == nil {
		c.Close()
	}
	return err
}

// dial connects, within a second; a connection that is refused has got there.
func dial(address string) error {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err == nil {
		return c.Close()
	}
	if strings.Contains(err.Error(), "refused") {
		return nil
	}
	return err
}
