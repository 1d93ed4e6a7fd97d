package powershell_test

import (
	"strings"
	"testing"

	"graphrelay/relay/e2e/powershell"
)

// paper is a Host on which cmdlets leave their arguments.
type paper struct{ lines []string }

func (p *paper) Cmdlet(name string, args powershell.Args) ([]any, error) {
	if name == "Fail-Now" {
		return nil, powershell.Thrown{Message: "no"}
	}
	if name == "Get-Things" {
		return []any{powershell.Object{"name": "a", "n": int64(1)}, powershell.Object{"name": "b", "n": int64(2)}}, nil
	}
	p.lines = append(p.lines, powershell.Show(args[""]))
	return nil, nil
}

func (p *paper) Program(string, []any) int                { return 3 }
func (p *paper) Static(_, _ string, _ []any) (any, error) { return int64(7), nil }
func (p *paper) Method(any, string, []any) (any, error)   { return nil, powershell.Halt("no method") }

// Each line is a script, and what it writes.
func TestWhatTheScriptsUse(t *testing.T) {
	for script, want := range map[string]string{
		`Write-Host 'it''s $x'`:                                                     `it's $x`,
		`$x = 'v'; Write-Host "a $x ${x}b $($x.Length)"`:                            `a v vb 1`,
		`Write-Host ('' + [char]0x00D1 + [char]0xD83D + [char]0xDE00 + 'x')`:        "\u00d1\U0001f600x",
		`$l = @(); $l += 'a'; $l += 'b'; Write-Host ($l -join ', ')`:                `a, b`,
		`Write-Host (Get-Things | Where-Object { $_.N -gt 1 }).Name`:                `b`,
		`if ((Get-Things).Name -contains 'B' -and -not ($null)) { Write-Host 'y' }`: `y`,
		`function F-One($A) { return $A + 1 }; Write-Host (F-One 2)`:                `3`,
		`try { Fail-Now } catch { Write-Host "caught $_." }`:                        `caught no.`,
		`$x = @(Fail-Now -ErrorAction SilentlyContinue); Write-Host $x.Count`:       `0`,
		`Write-Host ('{0} of {1}' -f 1, 'two')`:                                     `1 of two`,
		`& 'p' -A 1; Write-Host $LASTEXITCODE`:                                      `3`,
		`foreach ($i in @(1, 2)) { if ($i -eq 2) { Write-Host $i } }`:               `2`,
		`$n = 0; while ($n -lt 3) { $n++ }; Write-Host $n`:                          `3`,
		`Write-Host ((@('/a/b', 'c') -like '/a/*') -join '')`:                       `/a/b`,
		`function G-It($B) { & $B }; $q = 5; Write-Host (G-It { $q })`:              `5`,
		`Write-Host ([X]::Y * 2)`:                                                   `14`,
	} {
		s, err := powershell.Parse(script)
		if err != nil {
			t.Errorf("%s: %v", script, err)
			continue
		}
		p := &paper{}
		if _, err := powershell.Run(s, p, nil, nil); err != nil {
			t.Errorf("%s: %v", script, err)
		}
		if got := strings.Join(p.lines, "|"); got != want {
			t.Errorf("%s: %q, want %q", script, got, want)
		}
	}
}

// What PowerShell refuses, and what is not known here, is an error.
func TestWhatIsRefused(t *testing.T) {
	for script, want := range map[string]string{
		`Write-Host "not to $Tenant: x"`: "colon",
		`Write-Host 'open`:               "does not end",
		`if ($x) { Write-Host 'a'`:       "missing",
		`notacmdlet`:                     "no cmdlet",
		`Write-Host 'a' 'b'`:             "twice",
	} {
		s, err := powershell.Parse(script)
		if err == nil {
			_, err = powershell.Run(s, &paper{}, nil, nil)
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", script, err, want)
		}
	}
}
