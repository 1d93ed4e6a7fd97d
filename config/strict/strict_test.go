package strict

import (
	"strings"
	"testing"
)

// garden is a file that has nothing to do with mail.
type garden struct {
	Beds   []bed          `yaml:"beds" required:"true"`
	Water  Duration       `yaml:"water" default:"10m" range:"1s..1h"`
	Tank   Size           `yaml:"tank" default:"1KiB"`
	Season string         `yaml:"season" default:"spring" range:"spring | autumn"`
	Heated bool           `yaml:"heated" default:"false"`
	Paths  map[label]plot `yaml:"paths" unset:"none"`
	Gate   secret         `yaml:"gate" unset:"none"`
}

type bed struct {
	Name  label `yaml:"name" required:"true"`
	Rows  int   `yaml:"rows" default:"3" range:"1..9"`
	Width plot  `yaml:"width" unset:"that of the garden"`
}

func (b *bed) Check(s Scope) {
	if b.Rows > 5 && !s.Given("width") {
		s.Fail("rows", "is many", "write width too")
	}
}

type label string

func (l *label) Read(text string) *Fault {
	*l = label(text)
	return nil
}

func (*label) About() (kind, example string) { return "label", "a label" }

// secret is a label that nobody repeats.
type secret struct{ label }

func (*secret) Hidden() {}

// plot belongs to somebody else.
type plot struct{ metres string }

type plotReader struct{ *plot }

func (p plotReader) Read(text string) *Fault {
	if !strings.HasSuffix(text, "m") {
		return Bad("is not a length", "write 2m")
	}
	p.metres = text
	return nil
}

func (plotReader) About() (kind, example string) { return "length", "2m" }
func (p plotReader) Shown() string               { return p.metres }

func gardens() Format {
	return Format{Foreign: func(target any, _ string) Scalar {
		if p, ok := target.(*plot); ok {
			return plotReader{p}
		}
		return nil
	}}
}

func decode(text string) (garden, error) {
	var g garden
	_, err := gardens().Decode("garden.yaml", []byte(text), "/", &g, func(s Scope) {
		if g.Heated && g.Season == "spring" {
			s.Fail("heated", "is true in spring", "write season: autumn")
		}
	})
	return g, err
}

func TestDecode(t *testing.T) {
	g, err := decode("beds: [{name: herbs, rows: 7, width: 3m}, {name: peas}]\ngate: hunter2\npaths: {north: 1m}\n")
	if err != nil || g.Beds[0].Width.metres != "3m" || g.Beds[1].Rows != 3 || g.Season != "spring" || g.Tank != 1024 {
		t.Fatalf("%+v, %v", g, err)
	}
	shown, err := gardens().Show(&g)
	const want = `beds:
  - name: herbs
    rows: 7
    width: 3m
  - name: peas
    rows: 3
water: 10m
tank: 1KiB
season: spring
heated: false
paths:
  north: 1m
gate: "***"
`
	if err != nil || shown != want {
		t.Errorf("%v, got\n%s\nwant\n%s", err, shown, want)
	}
}

// All mistakes come at once, by line, each with what to write.
func TestDecodeReportsEveryMistake(t *testing.T) {
	_, err := decode(`heated: true
beds:
  - {name: herbs, rows: 7}
  - {name: peas, rows: 10, colour: red}
  - {rows: 2, width: wide}
water: 2h
gate: [hunter2]
seazon: spring
`)
	const want = `garden.yaml:1: heated: is true in spring ("true"); write season: autumn
garden.yaml:3: beds[0].rows: is many ("7"); write width too
garden.yaml:4: beds[1].rows: is out of range ("10"); write a value from 1 to 9
garden.yaml:4: beds[1].colour: is an unknown key ("colour"); remove it, or write one of name, rows, width
garden.yaml:5: beds[2].width: is not a length ("wide"); write 2m
garden.yaml:5: beds[2].name: is missing; write name: a label
garden.yaml:6: water: is out of range ("2h"); write a value from 1s to 1h
garden.yaml:7: gate: must be a single value; write a label
garden.yaml:8: seazon: is an unknown key ("seazon"); did you mean season? If not, remove it`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestAnEmptyFileIsToldWhatItNeeds(t *testing.T) {
	_, err := decode("# nothing\n")
	if err == nil || err.Error() != "garden.yaml:1: file is empty; write at least beds" {
		t.Error(err)
	}
}

func TestDurationAndSizeReadBackWhatTheyWrite(t *testing.T) {
	for _, text := range []string{"0s", "30s", "5m", "4h", "5d", "1d2h3m4s"} {
		var d Duration
		if f := d.Read(text); f != nil || d.String() != text {
			t.Errorf("%s read as %s, %v", text, d, f)
		}
	}
	for _, text := range []string{"0", "4095", "1KiB", "2100KiB", "3MiB", "5GiB"} {
		var s Size
		if f := s.Read(text); f != nil || s.String() != text {
			t.Errorf("%s read as %s, %v", text, s, f)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"smtp", "smpt", 2}, {"queue", "quue", 1}, {"log", "gol", 2},
		{"kitten", "sitting", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestShowHidesWhatMayBeSecretInAURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://relay:hunter2@proxy:3128":    "https://%2A%2A%2A@proxy:3128",
		"https://hooks.example/a?key=hunter2": "https://hooks.example/a?***",
		"https://127.0.0.1:8443":              "https://127.0.0.1:8443",
		"sqlite:/var/lib/queue.db":            "sqlite:/var/lib/queue.db",
		"https://%zz:hunter2@x":               "***",
	} {
		if got := withoutSecrets(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
