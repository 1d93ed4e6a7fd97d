package envelope

import "testing"

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		entry, address string
		want           bool
	}{
		{"a@contoso.com", "A@Contoso.com", true},
		{"a@contoso.com", "b@contoso.com", false},
		{"*@contoso.com", "b@contoso.com", true},
		{"*@contoso.com", `"b c"@CONTOSO.com`, true},
		{"*@contoso.com", "*@contoso.com", true},
		{"*@contoso.com", "b@mail.contoso.com", false},
		{"*@contoso.com", "b@contoso.com.evil.example", false},
		{"*@contoso.com", "b@evilcontoso.com", false},
		{"*@contoso.com", `"b@contoso.com"@evil.example`, false},
		{"*@bücher.example", "b@xn--bcher-kva.example", true},
		{"b@contoso.com", "*@contoso.com", false},
		{"*@contoso.com", "IMCEASMTP-b+40evil+2Eexample@contoso.com", false},
		{"*@contoso.com", `"imceaEX-_O=x"@contoso.com`, false},
		{"*@contoso.com", "imcea@contoso.com", true},
		{"IMCEAEX-_O=x@contoso.com", "imceaex-_O=x@contoso.com", true},
		{"x*@contoso.com", "xy@contoso.com", false},
	} {
		if got := must(t, c.entry).Covers(must(t, c.address)); got != c.want {
			t.Errorf("%s covers %s: %v", c.entry, c.address, got)
		}
	}
	if root := (Address{local: "root"}); must(t, "*@contoso.com").Covers(root) ||
		must(t, "*@contoso.com").Covers(Address{}) {
		t.Error("an address without domain is in no domain")
	}
	if (Address{}).Covers(Address{}) || (Address{local: anyone}).Wildcard() {
		t.Error("neither nothing nor a bare * is an entry")
	}
}
