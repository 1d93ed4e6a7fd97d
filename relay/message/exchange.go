package message

// exchangeFields are names with which Exchange hosts speak to each other, most of
// them prefixes: verdicts on spam, and who vouches for the message. From a client
// such a field is a claim that nobody checked, and mail through Graph enters
// inside the organization, behind the firewall that removes it from mail that
// comes from outside.
var exchangeFields = []struct{ prefix, source string }{
	{"X-MS-Exchange-Organization-", "Exchange Server, Header firewall: organization X-headers"},
	{"X-MS-Exchange-Forest-", "Exchange Server, Header firewall: forest X-headers"},
	{"X-MS-Exchange-CrossPremises-", "Exchange team, Demystifying hybrid mail flow: the same between premises"},
	{"X-MS-Exchange-CrossTenant-", "Exchange team, Demystifying hybrid mail flow: attribution to a tenant"},
	{"X-MS-Exchange-SkipListedInternetSender", "Exchange Online, Enhanced Filtering for Connectors"},
	{"X-MS-Exchange-ExternalOriginalInternetSender", "Exchange Online, Enhanced Filtering for Connectors"},
	{"X-Forefront-Antispam-Report", "Defender for Office 365, Anti-spam message headers"},
	{"X-Microsoft-Antispam", "Defender for Office 365, Anti-spam message headers"},
}

// speaksForExchange reports whether a field of that name is dropped.
func speaksForExchange(name []byte) bool {
	if !hasPrefixFold(name, "X-M") && !hasPrefixFold(name, "X-F") {
		return false
	}
	for _, f := range exchangeFields {
		if hasPrefixFold(name, f.prefix) {
			return true
		}
	}
	return false
}
