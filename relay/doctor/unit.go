package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

const (
	serviceUnit = "graphrelay.service"
	servicePath = "/usr/bin/graphrelay" // the program of the packages
)

// unit is the service's unit by its properties, as systemctl show prints them.
type unit map[string]string

// sandbox are the properties that decide what the service may do. systemctl show
// prints them as systemd-run takes them.
var sandbox = strings.Fields(`User Group SupplementaryGroups DynamicUser UMask
	RootDirectory RootImage AmbientCapabilities CapabilityBoundingSet SecureBits NoNewPrivileges LockPersonality
	MemoryDenyWriteExecute PrivateDevices PrivateMounts PrivateNetwork PrivateUsers PrivateTmp PrivateIPC ProcSubset
	ProtectClock ProtectControlGroups ProtectHome ProtectHostname ProtectKernelLogs ProtectKernelModules
	ProtectKernelTunables ProtectProc ProtectSystem ReadWritePaths ReadOnlyPaths InaccessiblePaths ExecPaths NoExecPaths
	BindPaths BindReadOnlyPaths TemporaryFileSystem StateDirectory StateDirectoryMode RuntimeDirectory
	RuntimeDirectoryMode RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID
	SystemCallArchitectures SystemCallFilter SystemCallErrorNumber DevicePolicy DeviceAllow Environment LimitNOFILE
	AppArmorProfile SELinuxContext`)

// unitOf asks systemd; without it, or without the unit, the answer is not loaded.
func unitOf(ctx context.Context) unit {
	wanted := append([]string{"LoadState", "ActiveState", "UnitFileState", "ExecStart"}, sandbox...)
	out, err := exec.CommandContext(ctx, "systemctl", "show", "--all", "--property="+strings.Join(wanted, ","),
		serviceUnit).Output()
	if err != nil {
		return nil
	}
	return parseUnit(string(out))
}

func (u unit) loaded() bool { return u["LoadState"] == "loaded" }

// fresh reports whether nobody has started the service yet, or has it started.
func (u unit) fresh() bool { return u["ActiveState"] == "inactive" && u["UnitFileState"] != "enabled" }

func (u unit) has(property, word string) bool {
	return slices.Contains(strings.Fields(u[property]), word)
}

func (u unit) user() string {
	if u.loaded() {
		return cmp.Or(u["User"], "root")
	}
	return "graphrelay"
}

// configuration is the file that the unit names after -c.
func (u unit) configuration() string {
	_, arguments, _ := strings.Cut(u["ExecStart"], "argv[]=")
	arguments, _, _ = strings.Cut(arguments, " ; ")
	words := strings.Fields(arguments)
	if i := slices.Index(words, "-c"); i >= 0 && i+1 < len(words) {
		return words[i+1]
	}
	return ""
}

// inSandbox starts this program with everything that systemd gives to the service.
// Folders that systemd makes for it stay: a running service uses them.
func (u unit) inSandbox(ctx context.Context, q *question) (*exec.Cmd, error) {
	if !u.loaded() {
		return nil, errors.New("systemd has no unit " + serviceUnit)
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	q.Sandbox = true
	args := []string{"--wait", "--pipe", "--quiet", "--collect", "--property=RuntimeDirectoryPreserve=yes"}
	for _, name := range sandbox {
		// An empty list of capabilities is none; an empty text of another property is
		// its default.
		if u[name] != "" && u[name] != "[unprintable]" || name == "CapabilityBoundingSet" {
			args = append(args, "--property="+name+"="+u[name])
		}
	}
	if program != servicePath { // it must be seen and run all the same
		args = append(args, "--property=BindReadOnlyPaths="+program, "--property=ExecPaths=+"+program)
	}
	for _, c := range credentialsOf() {
		args = append(args, "--property="+c)
	}
	return exec.CommandContext(ctx, "systemd-run", append(args, program, "check", "--answer")...), nil
}

// credentialsOf are the credentials of the unit. systemctl show does not print them
// in systemd 252.
func credentialsOf() (list []string) {
	for _, property := range []string{"LoadCredential", "LoadCredentialEncrypted"} {
		out, err := exec.Command("busctl", "--json=short", "get-property", "org.freedesktop.systemd1",
			"/org/freedesktop/systemd1/unit/graphrelay_2eservice", "org.freedesktop.systemd1.Service",
			property).Output()
		var value struct {
			Data [][2]string `json:"data"`
		}
		if err != nil || json.Unmarshal(out, &value) != nil {
			continue
		}
		for _, c := range value.Data {
			list = append(list, property+"="+c[0]+":"+c[1])
		}
	}
	return list
}

// failed says why systemd could not run a program as the service, by the exit code
// that systemd.exec(5) gives to such a failure; "" where it is none that the
// service would meet, too.
func (u unit) failed(code int) string {
	const again = "; correct the unit (systemctl cat graphrelay shows it, systemctl edit graphrelay changes it)"
	switch code {
	case 216, 217:
		return "systemd cannot start the service: there is no user or group " + u["User"] + "; run: systemd-sysusers"
	case 226:
		return "systemd cannot start the service: a folder that its sandbox names is missing" + again
	case 233, 238:
		return "systemd cannot make the service's folder in /run or /var/lib; look at what is there: " +
			"ls -ld /run/graphrelay /var/lib/graphrelay"
	case 243:
		return "systemd cannot start the service: " + missingCredential() + again
	}
	return ""
}

// missingCredential names the first credential whose file is not there.
func missingCredential() string {
	for _, c := range credentialsOf() {
		_, file, _ := strings.Cut(c, ":")
		if _, err := os.Stat(file); err != nil {
			return fmt.Sprintf("the file of %s does not exist", c)
		}
	}
	return "a credential that the unit names cannot be loaded"
}
