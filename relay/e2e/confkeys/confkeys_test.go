package confkeys_test

import (
	"reflect"
	"testing"

	"graphrelay/config/strict"
	"graphrelay/relay/e2e/confkeys"
	"graphrelay/relay/envelope"
)

type garden struct {
	Beds   []bed                       `yaml:"beds" required:"true"`
	Water  strict.Duration             `yaml:"water" default:"10m"`
	Tank   strict.Size                 `yaml:"tank" default:"1KiB"`
	Season string                      `yaml:"season" default:"spring" range:"spring | autumn"`
	Heated bool                        `yaml:"heated" default:"false"`
	Paths  map[string]envelope.Address `yaml:"paths" unset:"none"`
	Owner  envelope.Address            `yaml:"owner" unset:"none"`
}

type bed struct {
	Name string `yaml:"name" required:"true"`
	Rows int    `yaml:"rows" default:"3" range:"1..9"`
}

func TestKeys(t *testing.T) {
	keys := confkeys.Of[garden]()
	want := []confkeys.Key{
		{Path: "beds", Type: "list", Required: true},
		{Path: "beds[].name", Type: "word", Required: true},
		{Path: "beds[].rows", Type: "number", Default: "3", Range: "1..9"},
		{Path: "water", Type: "duration", Default: "10m"},
		{Path: "tank", Type: "size", Default: "1KiB"},
		{Path: "season", Type: "word", Default: "spring", Range: "spring | autumn"},
		{Path: "heated", Type: "true or false", Default: "false"},
		{Path: "paths", Type: "map", Default: "none"},
		{Path: "owner", Type: "address", Default: "none"},
	}
	if !reflect.DeepEqual(keys, want) {
		t.Errorf("got\n%+v\nwant\n%+v", keys, want)
	}
}
