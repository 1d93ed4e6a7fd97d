package rehearsal

import (
	"bytes"
	"crypto/sha1" // the thumbprint is SHA-1 by definition
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"graphrelay/relay/e2e/powershell"
)

// call is what a program that stands for az, pwsh, date or sleep was called with, and
// what it answers.
type call struct {
	Name string
	Args []string
	Env  map[string]string
	Out  string
	Code int
}

// socketVariable names the socket at which a World answers its programs.
const socketVariable = "REHEARSAL_SOCKET"

// Program is the main function of the program that bears the names of those that the
// scripts call: it asks the World, prints its answer, and ends.
func Program() {
	c := call{Name: filepath.Base(os.Args[0]), Args: os.Args[1:], Env: map[string]string{}}
	for _, key := range []string{"NOTES", "SKIP_WAIT"} {
		c.Env[key] = os.Getenv(key)
	}
	for i, a := range c.Args { // the World is in another folder
		if i > 0 && c.Args[i-1] == "-in" {
			c.Args[i], _ = filepath.Abs(a)
		}
	}
	connection, err := net.Dial("unix", os.Getenv(socketVariable))
	if err == nil {
		err = json.NewEncoder(connection).Encode(c)
	}
	if err == nil {
		err = json.NewDecoder(connection).Decode(&c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(99)
	}
	fmt.Print(c.Out)
	os.Exit(c.Code)
}

var programs = []string{"az", "pwsh", "date", "sleep", "openssl"}

// RunShell runs a script for the shell as RunScript does one for PowerShell: by a real
// shell, with az, pwsh, date and sleep answered by the World.
func (w *World) RunShell(dir, text string, args ...string) error {
	w.t.Helper()
	bin, script := filepath.Join(dir, "bin"), filepath.Join(dir, "setup.sh")
	err := os.MkdirAll(bin, 0o700)
	target, berr := program()
	if err = errors.Join(err, berr); err == nil {
		for _, name := range programs {
			_ = os.Symlink(target, filepath.Join(bin, name))
		}
		err = os.WriteFile(script, []byte(text), 0o600)
	}
	socket := filepath.Join(dir, "s")
	_ = os.Remove(socket)
	l, lerr := net.Listen("unix", socket)
	if err != nil || lerr != nil {
		w.t.Fatal(err, lerr)
	}
	cmd := exec.Command("sh", append([]string{script}, args...)...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = []string{"PATH=" + bin + ":/usr/bin:/bin", socketVariable + "=" + socket}
	if w.SkipWait {
		cmd.Env = append(cmd.Env, "SKIP_WAIT=1")
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	var served sync.WaitGroup
	if err = cmd.Start(); err == nil {
		served.Go(func() { w.serve(l, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }) })
		err = cmd.Wait()
	}
	_ = l.Close()
	served.Wait()
	w.Printed = append(w.Printed, out.String())
	if err != nil {
		err = fmt.Errorf("%w: %s", err, strings.Join(w.Printed, "\n"))
	}
	return err
}

// program builds Program, once for each test program, without the race detector: a
// script starts hundreds. It stays in .cache, where the next run finds it built.
var program = sync.OnceValues(func() (string, error) {
	module, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(string(module)), ".cache", "rehearsal", filepath.Base(os.Args[0]))
	out, err := exec.Command("go", "build", "-o", path, "graphrelay/relay/e2e/rehearsal/program").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return path, err
})

// serve answers one program after the other, until the power goes.
func (w *World) serve(l net.Listener, cut func()) {
	p := &process{w: w, scopes: []string{"Application.ReadWrite.All", "AppRoleAssignment.ReadWrite.All"}}
	for {
		connection, err := l.Accept()
		if err != nil {
			return
		}
		var c call
		if json.NewDecoder(connection).Decode(&c) == nil {
			if p.answer(&c); w.Cut() {
				cut()
			}
			_ = json.NewEncoder(connection).Encode(c)
		}
		_ = connection.Close()
	}
}

func (p *process) answer(c *call) {
	switch c.Name {
	case "date":
		c.Out = fmt.Sprintln(p.w.Now.Unix())
		return
	case "sleep":
		d, err := time.ParseDuration(c.Args[0] + "s")
		if err != nil {
			p.w.fail("sleep %q", c.Args)
		}
		p.w.Now = p.w.Now.Add(d)
		p.w.check("a wait")
		return
	case "pwsh":
		c.Code = p.pwsh(c)
		return
	case "openssl":
		if err := openssl(c); err != nil {
			p.w.fail("%v", err)
		}
		return
	}
	out, err := p.az(c.Args)
	if c.Out = out; err != nil {
		c.Out, c.Code = "", 1
		p.w.Printed = append(p.w.Printed, err.Error())
	}
}

// pwsh runs a script in a process of Exchange alone, with the notes of the shell.
func (p *process) pwsh(c *call) int {
	text, err := os.ReadFile(c.Args[len(c.Args)-1])
	if err != nil {
		p.w.fail("%v", err)
		return 1
	}
	script, err := powershell.Parse(string(text))
	if err != nil {
		p.w.fail("%v", err)
		return 1
	}
	notes := c.Env["NOTES"]
	b, _ := os.ReadFile(notes)
	p.w.Files[notes] = string(b)
	variables := automatic()
	variables["env:NOTES"], variables["env:SKIP_WAIT"] = notes, c.Env["SKIP_WAIT"]
	code, err := powershell.Run(script, &process{w: p.w, script: script}, nil, variables)
	if werr := os.WriteFile(notes, []byte(p.w.Files[notes]), 0o600); werr != nil {
		p.w.fail("%v", werr)
	}
	if err != nil {
		p.w.Printed = append(p.w.Printed, err.Error())
		return 1
	}
	return code
}

// openssl is what the scripts ask of it: a conversion to PEM, a fingerprint, an end.
func openssl(c *call) error {
	file, to := "", ""
	for i, a := range c.Args {
		switch a {
		case "-in":
			file = c.Args[i+1]
		case "-out":
			to = c.Args[i+1]
		}
	}
	cert, err := readCertificate(file)
	switch {
	case err != nil:
		return err
	case to != "":
		return os.WriteFile(to, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600)
	case slices.Contains(c.Args, "-enddate"):
		c.Out = "notAfter=" + cert.NotAfter.UTC().Format("Jan _2 15:04:05 2006") + " GMT\n"
	default:
		c.Out = strings.ReplaceAll(fmt.Sprintf("sha1 Fingerprint=% X\n", sha1.Sum(cert.Raw)), " ", ":")
		c.Out = strings.Replace(c.Out, "sha1:", "sha1 ", 1)
	}
	return nil
}

func readCertificate(file string) (*x509.Certificate, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(b); block != nil {
		b = block.Bytes
	}
	return x509.ParseCertificate(b)
}

// flags are those of a call of az, and its words.
func flags(args []string) (words string, f map[string]string) {
	f = map[string]string{}
	for i := 0; i < len(args); i++ {
		name, isFlag := strings.CutPrefix(args[i], "--")
		switch {
		case !isFlag:
			words = strings.TrimSpace(words + " " + args[i])
		case i+1 < len(args) && !strings.HasPrefix(args[i+1], "--"):
			f[name] = args[i+1]
			i++
		default:
			f[name] = "true"
		}
	}
	return words, f
}

// az is the part of the Azure command line that the scripts use.
func (p *process) az(args []string) (string, error) {
	t := p.w.signedIn()
	command, f := flags(args)
	switch command {
	case "login":
		if p.w.Other != nil && strings.Contains(f["tenant"], ".") {
			return "", refuse("AADSTS50020: the account does not exist in this tenant")
		}
		return "", nil
	case "cloud set":
		return "", nil
	case "account show":
		return map[string]string{"tenantId": t.ID, "user.name": p.w.Admin}[f["query"]] + "\n", nil
	case "rest":
		return p.rest(t, f)
	case "ad app list":
		out := ""
		for _, a := range t.apps {
			out += a.name + "\t" + a.appID + "\n"
		}
		return out, nil
	case "ad app create":
		out, err := p.graph("New-MgApplication", powershell.Args{"displayname": f["display-name"]})
		if err != nil {
			return "", err
		}
		return fmt.Sprintln(out[0].(object)["appid"]), nil
	case "ad sp create":
		out, err := p.graph("New-MgServicePrincipal", powershell.Args{"appid": f["id"]})
		if err != nil {
			return "", err
		}
		return fmt.Sprintln(out[0].(object)["id"]), nil
	case "ad sp show":
		return showPrincipal(t.principalOf(f["id"]), f["query"])
	}
	return p.azApp(t, command, f)
}

func showPrincipal(sp *principal, query string) (string, error) {
	switch {
	case sp == nil:
		return "", refuse("Resource does not exist or one of its queried reference-property objects are not present.")
	case query == "id":
		return sp.id + "\n", nil
	case query == "[servicePrincipalType, id]":
		return sp.kind + "\n" + sp.id + "\n", nil
	case query == "alternativeNames":
		return "isExplicit=False\n/subscriptions/s/vm\n", nil
	case query == "appRoles[?starts_with(value, 'Mail.')].id" && sp.appID == graphAppID:
		out := ""
		for id := range permissions {
			out += id + "\n"
		}
		return out, nil
	}
	return "", powershell.Halt("az ad sp show with another query: " + query)
}

// azApp is az ad app with one application.
func (p *process) azApp(t *Tenant, command string, f map[string]string) (string, error) {
	var app *application
	for _, a := range t.apps {
		if a.appID == f["id"] {
			app = a
		}
	}
	if app == nil {
		return "", refuse("Resource %s does not exist.", f["id"])
	}
	id := powershell.Args{"applicationid": app.id}
	switch command {
	case "ad app show":
		return map[string]string{"appId": app.appID, "id": app.id}[f["query"]] + "\n", nil
	case "ad app delete":
		_, err := p.graph("Remove-MgApplication", id)
		return "", err
	case "ad app credential list":
		return listCredentials(app, f), nil
	case "ad app credential reset":
		return "", p.azUpload(app, f)
	case "ad app federated-credential list":
		out := ""
		for _, one := range app.federated {
			out += strings.Join(one[:], "\t") + "\n"
		}
		return out, nil
	case "ad app federated-credential create":
		var one struct{ Name, Issuer, Subject string }
		if err := json.Unmarshal([]byte(f["parameters"]), &one); err != nil {
			return "", err
		}
		id["name"], id["issuer"], id["subject"] = one.Name, one.Issuer, one.Subject
		_, err := p.graph("New-MgApplicationFederatedIdentityCredential", id)
		return "", err
	}
	return "", powershell.Halt("az " + command + " is not imitated")
}

func listCredentials(app *application, f map[string]string) (out string) {
	if f["cert"] == "" {
		return strings.Repeat("2027-05-01\n", app.secrets)
	}
	for _, k := range app.keys {
		out += powershell.Base64(k.mark) + "\t" + k.end.Format(time.RFC3339) + "\n"
	}
	return out
}

// azUpload adds a certificate, for a year unless an end is given.
func (p *process) azUpload(app *application, f map[string]string) error {
	cert, err := readCertificate(strings.TrimPrefix(f["cert"], "@"))
	if err != nil {
		return powershell.Halt(err.Error())
	}
	credential := object{"key": &certificateFile{thumbprint: fmt.Sprintf("%X", sha1.Sum(cert.Raw))}}
	if f["end-date"] != "" {
		end, err := time.Parse(time.RFC3339, f["end-date"])
		if err != nil {
			return powershell.Halt("the end date " + f["end-date"])
		}
		credential["enddatetime"] = end
	}
	list := append(slices.Clone(app.object()["keycredentials"].([]any)), credential)
	_, err = p.graph("Update-MgApplication", powershell.Args{"applicationid": app.id, "keycredentials": list})
	return err
}

// rest is az rest to appRoleAssignments.
func (p *process) rest(t *Tenant, f map[string]string) (string, error) {
	_, path, found := strings.Cut(f["url"], "/v1.0/servicePrincipals/")
	sp, rest, more := strings.Cut(path, "/appRoleAssignments")
	if !found || !more {
		return "", powershell.Halt("az rest to " + f["url"])
	}
	switch f["method"] {
	case "get":
		out := ""
		for _, c := range t.consents {
			if c.sp == sp && (f["query"] == "value[].[id, appRoleId]" || strings.Contains(f["query"], "'"+c.role+"'")) {
				out += c.id + "\t" + c.role + "\n"
			}
		}
		return out, nil
	case "post":
		var body struct{ PrincipalID, ResourceID, AppRoleID string }
		if err := json.Unmarshal([]byte(f["body"]), &body); err != nil {
			return "", err
		}
		return "", p.consent(t, "New-", powershell.Args{"serviceprincipalid": sp, "principalid": body.PrincipalID,
			"resourceid": body.ResourceID, "approleid": body.AppRoleID})
	}
	return "", p.consent(t, "Remove-", powershell.Args{"serviceprincipalid": sp,
		"approleassignmentid": strings.TrimPrefix(rest, "/")})
}
