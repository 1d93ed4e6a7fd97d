package doctor

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"graphrelay/config"
)

// Host is what the service will meet on this host with a configuration.
type Host struct {
	Found    []config.Problem // what keeps it from starting
	Wrong    string           // the same, about the content of a credential, a certificate or the store
	Warnings []config.Problem
	As       string // for whom this was examined
	Next     string // the command that starts the service, if it is neither enabled nor running
}

// Sound reports whether nothing keeps the service from starting.
func (h Host) Sound() bool { return len(h.Found) == 0 && h.Wrong == "" }

// question is what a process that stands for the service is asked, as JSON.
type question struct {
	File    string // the configuration; relative paths in it begin in its folder
	Text    []byte // its content, which the service may be unable to read there
	Own     bool   // the service reads this file
	Sandbox bool   // systemd has put the process into the service's sandbox
}

// answer is what it found.
type answer struct {
	Found    []config.Problem
	Wrong    string
	Warnings []config.Problem // about certificates that cannot renew themselves
}

// Answer reads a question, examines files, folders, ports, credentials, certificate
// and store as the process that runs it may use them, and writes the answer.
func Answer(ctx context.Context, in io.Reader, out io.Writer) error {
	var q question
	if err := json.NewDecoder(in).Decode(&q); err != nil {
		return err
	}
	c, err := config.Parse(q.File, q.Text, filepath.Dir(q.File))
	if err != nil {
		return err
	}
	file := ""
	if q.Own {
		file = q.File
	}
	return json.NewEncoder(out).Encode(contents(ctx, c, config.CheckFor(c, file, q.Sandbox)))
}

// contents adds to what was found what is in the files, if all can be read.
func contents(ctx context.Context, c *config.Config, found []config.Problem) answer {
	if len(found) > 0 {
		return answer{Found: found}
	}
	err := usable(ctx, c)
	if err := errors.Join(CheckCredentials(c), CheckCertificate(c), err); err != nil {
		return answer{Wrong: err.Error()}
	}
	return answer{Warnings: checkRenewals(c)}
}

// CheckHost examines what the configuration in file needs of this host. As root it
// asks a process that stands for the service: where systemd runs, one in the
// sandbox of the unit, else one with the IDs of the service's user. Host.As says
// which it was. Nothing is sent, and nothing changes but the folders that systemd
// makes at each start of the service.
func CheckHost(ctx context.Context, c *config.Config, file string) Host {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	u := unitOf(ctx)
	h, a, who := Host{Warnings: config.Warnings(c)}, answer{}, userName(os.Geteuid())
	if os.Geteuid() == 0 {
		a, who, h.As = u.stand(ctx, c, file)
	} else {
		a = contents(ctx, c, config.Check(c))
		h.As = "checked with the IDs of user " + who + " alone; " +
			"run it as root to check what the service may do"
	}
	h.Found, h.Wrong = a.Found, a.Wrong
	h.Warnings = append(h.Warnings, leftToRoot(ctx, file, a.Warnings)...)
	judgePorts(ctx, c, u, &h)
	config.Errors(h.Found).ByLine()
	h.name(who)
	return h
}

// name says who "this user" is: the one that was judged by, who need not be the one
// who reads this.
func (h *Host) name(user string) {
	say := strings.NewReplacer("this user", "user "+user).Replace
	h.Wrong = say(h.Wrong)
	for _, list := range [][]config.Problem{h.Found, h.Warnings} {
		for i := range list {
			list[i].Wrong, list[i].Remedy = say(list[i].Wrong), say(list[i].Remedy)
		}
	}
}

// stand examines as the service, and says as which user and how. A configuration that is not in the
// folder of the service's own is somebody else's, such as a rehearsal.
func (u unit) stand(ctx context.Context, c *config.Config, file string) (a answer, who, how string) {
	own := cmp.Or(u.configuration(), "/etc/graphrelay/config.yaml")
	why := "the configuration of the service is " + own
	if path, err := filepath.Abs(file); err == nil && filepath.Dir(path) == filepath.Dir(own) {
		if a, err := u.ask(ctx, path, own, u.inSandbox); err == nil {
			return a, u.user(), "checked as the service: user " + u.user() + ", in the sandbox of " + serviceUnit
		} else {
			why = err.Error()
		}
		if a, err := u.ask(ctx, path, own, u.asUser); err == nil {
			return a, u.user(), "checked with the IDs of user " + u.user() +
				" alone, not in the sandbox of the service: " + why
		}
	}
	how = "checked with the IDs of user root alone, not as the service: " + why
	return contents(ctx, c, config.Check(c)), "root", how
}

// ask starts this program as launch says, and puts the question to it.
func (u unit) ask(ctx context.Context, file, own string,
	launch func(context.Context, *question) (*exec.Cmd, error)) (a answer, err error) {
	q := question{File: file, Own: file == own}
	if q.Text, err = os.ReadFile(file); err != nil {
		return a, err
	}
	cmd, err := launch(ctx, &q)
	if err != nil {
		return a, err
	}
	text, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), &out, &errs
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && u.failed(exit.ExitCode()) != "" && out.Len() == 0 {
		return answer{Wrong: u.failed(exit.ExitCode())}, nil
	}
	if err == nil {
		err = json.Unmarshal(out.Bytes(), &a)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", filepath.Base(cmd.Path), err, bytes.TrimSpace(errs.Bytes()))
	}
	return a, err
}

// asUser starts this program with the IDs of an account, and with the capability
// for low ports if the unit gives it.
func (u unit) asUser(ctx context.Context, _ *question) (*exec.Cmd, error) {
	account, err := user.Lookup(u.user())
	if err != nil {
		return nil, err
	}
	uid, errUID := strconv.ParseUint(account.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(account.Gid, 10, 32)
	if err := errors.Join(errUID, errGID); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "check", "--answer")
	cmd.Dir, cmd.Env = "/", []string{"PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	if groups, err := account.GroupIds(); err == nil {
		for _, g := range groups {
			if id, err := strconv.ParseUint(g, 10, 32); err == nil {
				cmd.SysProcAttr.Credential.Groups = append(cmd.SysProcAttr.Credential.Groups, uint32(id))
			}
		}
	}
	if u.has("AmbientCapabilities", "cap_net_bind_service") {
		cmd.SysProcAttr.AmbientCaps = []uintptr{capNetBindService}
	}
	return cmd, nil
}

const capNetBindService = 10

func userName(id int) string {
	if u, err := user.LookupId(strconv.Itoa(id)); err == nil {
		return u.Username
	}
	return strconv.Itoa(id)
}
