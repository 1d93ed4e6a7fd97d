package wiring

import (
	"net/netip"

	"graphrelay/config"
	"graphrelay/relay/envelope"
	"graphrelay/relay/intake"
	"graphrelay/relay/message"
	"graphrelay/relay/pacing"
	"graphrelay/relay/policy"
)

// Intake returns the rules that each message is checked against. host is the
// name of this host as the system knows it.
func Intake(c *config.Config, host string) intake.Rules {
	received := map[string]intake.ReceivedForm{
		"full": intake.ReceivedFull, "short": intake.ReceivedShort, "off": intake.ReceivedOff,
	}
	extra := map[string]message.ExtraRecipients{"trim": message.TrimExtra, "reject": message.RejectExtra}
	return intake.Rules{
		Policy: policy.New(Policy(c, host)), Hostname: string(c.Hostname),
		Received: received[c.SMTP.Received], Extra: extra[c.SMTP.ExtraRecipients],
		MaxSize: c.Largest(), MaxStrangers: max(1, c.SMTP.MaxConnections/2),
	}
}

// Policy returns who may send, and as whom. host may be "".
func Policy(c *config.Config, host string) policy.Rules {
	rules := policy.Rules{
		LocalClient: c.LocalClient,
		LocalRepair: policy.Repair{DisplayName: true, MissingFrom: true, LocalSender: true},
		Aliases:     map[string]envelope.Address{},
		Hosts:       []string{string(c.Hostname)},
	}
	if host != "" {
		rules.Hosts = append(rules.Hosts, host)
	}
	for _, s := range c.Senders {
		rules.Senders = append(rules.Senders, policy.Sender{Address: s.Address, Mailbox: s.Mailbox})
	}
	for local, to := range c.Aliases {
		rules.Aliases[string(local)] = to
	}
	for _, client := range c.Clients {
		rules.Clients = append(rules.Clients, clientRule(client))
	}
	return rules
}

func clientRule(c config.Client) policy.ClientRule {
	return policy.ClientRule{
		Name: string(c.Name), Networks: prefixes(c.Networks),
		Username: string(c.Username), PasswordHash: string(c.PasswordHash),
		Senders: c.Senders, Rewrite: c.OtherSenders == "rewrite", Recipients: c.Recipients,
		Rate: pacing.Rate{Count: c.Rate.Count, Per: c.Rate.Per}, MaxConnections: c.MaxConnections,
		Repair: policy.Repair{
			DisplayName: c.Repair.Has(config.RepairDisplayName),
			MissingFrom: c.Repair.Has(config.RepairMissingFrom),
			LocalSender: c.Repair.Has(config.RepairLocalSender),
		},
	}
}

// ExactSenders returns the sender addresses that are no wildcards.
func ExactSenders(c *config.Config) (list []envelope.Address) {
	for _, s := range c.Senders {
		if !s.Address.Wildcard() {
			list = append(list, s.Address)
		}
	}
	return list
}

func prefixes(networks []config.Network) (list []netip.Prefix) {
	for _, n := range networks {
		list = append(list, n.Prefix)
	}
	return list
}
