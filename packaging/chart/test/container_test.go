package charttest

import (
	"bufio"
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

const (
	composeFile = "../../container/compose.yaml"
	quadletFile = "../../container/graphrelay.container"
)

// quadletKeys are the keys of [Container] that Podman 4.9 knows, by
// podman-systemd.unit(5), as far as the example uses them.
var quadletKeys = []string{"ContainerName", "DropCapability", "Exec", "Group", "HealthCmd", "HealthInterval",
	"HealthStartPeriod", "Image", "NoNewPrivileges", "PodmanArgs", "PublishPort", "ReadOnly", "Tmpfs", "User", "Volume"}

// composed reads the example for Compose as Compose does.
func composed(t *testing.T) types.ServiceConfig {
	t.Helper()
	details := types.ConfigDetails{WorkingDir: "../../container",
		ConfigFiles: []types.ConfigFile{{Filename: composeFile}}}
	project, err := loader.LoadWithContext(context.Background(), details)
	if err != nil {
		t.Fatal(err)
	}
	service, err := project.GetService("graphrelay")
	if err != nil {
		t.Fatal(err)
	}
	if _, there := project.Volumes["queue"]; !there {
		t.Error("there is no volume for the queue")
	}
	return service
}

// quadlet is the section [Container] of the example for Podman.
func quadlet(t *testing.T) map[string][]string {
	t.Helper()
	f, err := os.Open(quadletFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	keys, section := map[string][]string{}, ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		key, value, pair := strings.Cut(line, "=")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = line
		case !pair:
			t.Errorf("%q is no line of a unit", line)
		case section == "[Container]":
			if !slices.Contains(quadletKeys, key) {
				t.Errorf("Podman does not know %s", key)
			}
			keys[key] = append(keys[key], value)
		}
	}
	return keys
}

// Both examples run the program in the same way: as its user, read-only, without a
// capability, with the folder of the configuration and a volume for the queue.
func TestComposeAndQuadletRunTheSame(t *testing.T) {
	c, q := composed(t), quadlet(t)
	const command = "serve --watch-config -c /etc/graphrelay/config.yaml"
	if got := strings.Join(c.Command, " "); got != command || q["Exec"][0] != command {
		t.Errorf("they run %q and %q", got, q["Exec"])
	}
	if c.User != "65532:65532" || q["User"][0] != "65532" || q["Group"][0] != "65532" {
		t.Errorf("users %q and %q", c.User, q["User"])
	}
	if !c.ReadOnly || q["ReadOnly"][0] != "true" || !slices.Equal(c.CapDrop, []string{"ALL"}) ||
		q["DropCapability"][0] != "all" || !slices.Contains(c.SecurityOpt, "no-new-privileges:true") ||
		q["NoNewPrivileges"][0] != "true" {
		t.Error("one of them may do more than it needs")
	}
	if p := c.Ports[0]; p.Published+":2525" != q["PublishPort"][0] || p.Target != 2525 {
		t.Errorf("ports %+v and %q", p, q["PublishPort"])
	}
	if *c.StopGracePeriod != types.Duration(90e9) || q["PodmanArgs"][0] != "--stop-timeout=90" {
		t.Errorf("they stop within %v and %q", c.StopGracePeriod, q["PodmanArgs"])
	}
	targets := []string{}
	for _, v := range c.Volumes {
		targets = append(targets, v.Target)
	}
	for i, v := range q["Volume"] {
		if to := strings.Split(v, ":")[1]; to != targets[i] {
			t.Errorf("volumes %v and %q", targets, q["Volume"])
		}
	}
	if !slices.Equal(targets, []string{"/etc/graphrelay", "/data"}) || c.Volumes[1].Type != types.VolumeTypeVolume ||
		!c.Volumes[0].ReadOnly {
		t.Errorf("volumes %+v", c.Volumes)
	}
	health := strings.Join(c.HealthCheck.Test, " ")
	if c.Tmpfs[0] != q["Tmpfs"][0] || health != "CMD /usr/bin/graphrelay status" {
		t.Errorf("tmpfs %v and %q; health %v", c.Tmpfs, q["Tmpfs"], c.HealthCheck.Test)
	}
}
