package e2e_test

import (
	"path/filepath"
	"strings"
	"time"

	"graphrelay/relay/e2e/harness"
	"graphrelay/relay/graph"
)

func remediesOfMessages() map[string]func(*met) {
	return map[string]func(*met){
		"look into the Sent Items of the mailbox before sending the message again by hand": func(m *met) {
			if n := m.d.Ledger()[rowID]; n != 0 {
				m.t.Fatalf("%d in Sent Items", n)
			}
			m.d.ClearFaults()
			command(m.t, m.Relay, "queue", "release", m.id)
		},
		"set delivery.large_messages: upload, lower smtp.max_message_size or delivery.mime_limit, " +
			"or send a link in place of the attachment": func(m *met) {
			m.configure("unknown_outcome: hold", "unknown_outcome: hold, large_messages: upload")
			command(m.t, m.Relay, "queue", "retry", m.id)
		},
		"report it with the request ID: it is a fault of the relay, " +
			"or of something that changes its requests on the way": func(m *met) {
			if out := command(m.t, m.Relay, "queue", "show", m.id); !strings.Contains(out, "request") {
				m.t.Errorf("no request ID to report:\n%s", out)
			}
			changed()(m)
		},
		"correct the program that made the message":                                         corrected,
		"correct the recipients; if they look right, report it with the request ID":         corrected,
		"correct the recipients":                                                            corrected,
		"look up the code; if it is not the message's fault, report it with the request ID": corrected,
		"lower smtp.max_recipients, raise Set-Mailbox -RecipientLimits, or send to a distribution list": func(m *met) {
			m.configure("smtp: {", "smtp: {max_recipients: 1, ")
			c := harness.Hello(m.t, m.Addr)
			defer c.Close()
			c.Want(c.Say("MAIL FROM:<"+harness.Sender+">"), 250)
			c.Want(c.Say("RCPT TO:<one@example.org>"), 250)
			c.Want(c.Say("RCPT TO:<two@example.org>"), 452)
			corrected(m)
		},
		"lower smtp.max_message_size, or send a link in place of the attachment": smaller,
		"check the disk of the queue (queue.store)": func(m *met) {
			showBodies(m.t, filepath.Join(m.Dir, "queue.db"))
			m.again()
		},
	}
}

func remediesOfMailboxes() map[string]func(*met) {
	allow := func(m *met) { m.d.SetAllowed(nil) }
	create := func(m *met) { m.d.SetMailboxes(nil) }
	const access = "check that the app still has its role for this mailbox " +
		"(RBAC for Applications: Test-ServicePrincipalAuthorization), or its consent to Mail.Send (API permissions); " +
		"after a new assignment or policy, up to two hours of this are normal, and sending resumes by itself"
	other := func(m *met) { // the mail of the sender goes through another mailbox
		m.configure("senders: [{address: "+harness.Sender+"}]",
			"senders: [{address: "+harness.Sender+", mailbox: other@contoso.com}, {address: old@contoso.com, mailbox: "+
				harness.Sender+"}]")
		m.d.SetSendAs("other@contoso.com", harness.Sender)
		corrected(m)
		m.d.ClearFaults() // in time the limit is over
		m.again()
	}
	return map[string]func(*met){
		access: changed(allow),
		access + "; newer tenants answer this without any policy, and for mailboxes of administrators, " +
			"until a role is assigned": changed(allow),
		`grant the app "Application Mail.ReadWrite" for this mailbox (RBAC for Applications), ` +
			"which takes 30 minutes to 2 hours to reach Graph, and then release the message": func(m *met) {
			m.d.ClearFaults()
			command(m.t, m.Relay, "queue", "release", m.id)
		},
		"the sending limits of Exchange Online count for the mailbox; " +
			"spread the mail over time or over several mailboxes": other,
		"lower max_concurrent of the mailbox, or keep other programs of the same app from using it": func(m *met) {
			m.configure("senders:", "mailboxes: [{address: "+harness.Sender+", max_concurrent: 1}]\nsenders:")
			changed()(m)
		},
		"grant the mailbox Send As for the address (Add-RecipientPermission), " +
			"give the sender its own mailbox in the configuration, or correct From": changed(func(m *met) {
			m.d.SetSendAs("box@contoso.com", harness.Sender)
		}),
		"look under Restricted entities in the Defender portal, find the cause, and unblock the mailbox": changed(),
		"look under Restricted entities in the Defender portal, and at the account in the admin centre":  changed(),
		"empty its Sent Items, where every relayed message is kept, and set a retention policy":          changed(),
		"look at the account and its licence in the admin centre; a mailbox that Exchange shows as shared " +
			"needs no sign-in": changed(),
		"check that the mailbox exists, has a licence and is hosted in Exchange Online; " +
			"a new or newly licensed mailbox takes about 15 minutes; " +
			"else correct the address in the configuration": changed(create),
		"check the mailbox address in the configuration and the tenant it belongs to; " +
			"a group or distribution list cannot send": changed(create),
		"check the mailbox address in the configuration and the tenant it belongs to; " +
			"a group or distribution list cannot send; the mailbox needs a licence": changed(create),
	}
}

func remediesOfApps() map[string]func(*met) {
	replace := func(m *met) {
		m.d.ClearFaults()
		harness.WriteFile(m.t, filepath.Join(m.Dir, "secret"), m.d.Secret())
		m.again()
	}
	upload := func(m *met) { m.d.SetCertificates(testCertificate(m.t)) }
	correct := func(key, good string) func(*met) {
		return func(m *met) {
			m.configure(key+": 99999999-9999-9999-9999-999999999999", key+": "+good)
			m.again()
		}
	}
	return map[string]func(*met){
		"check that the app registration and its service principal still exist and are enabled, " +
			"and this machine's clock": changed(),
		"look into the sign-in log of the service principal, " +
			"and exempt the app or this machine's address from the policy": changed(),
		"check tenant_id in the configuration; the tenant needs " +
			"Exchange Online, with a licence for the mailbox": changed(),
		"check the secret or certificate in place against those of " +
			"the app registration": replace,
		"check client_id and tenant_id in the configuration": correct("client_id", clientID),
		"check client_id and tenant_id in the configuration; " +
			"the app may have been deleted, or belong to another tenant or cloud": correct("client_id", clientID),
		"check tenant_id, and that cloud (or endpoints) in the " +
			"configuration is the tenant's": correct("tenant_id", tenantID),
		"look into the sign-in log of the service principal":                       changed(),
		"look up the code, and look into the sign-in log of the service principal": changed(),
		"put the secret's Value, not its Secret ID, into client_secret_file":       replace,
		"make a new one in the app registration (Certificates & secrets) " +
			"and put its Value into client_secret_file": replace,
		"upload it to the app registration, and check with graphrelay cert show " +
			"that certificate_file holds the same one and that it has not expired": changed(upload),
		"set the clock right (timedatectl set-ntp true), " +
			"and check the certificate's validity (graphrelay cert show)": changed(
			func(m *met) { m.d.Advance(-2 * time.Hour) }),
		"use the certificate that was uploaded":                                                changed(upload),
		"enable sign-in for its enterprise application in the Entra admin centre":              changed(),
		"exempt the app or this machine's address, or change the policy":                       changed(),
		"give admin consent, or assign the role in Exchange (RBAC for Applications)":           changed(),
		"compare issuer, subject and audience in the app registration with those of the token": changed(),
		"find what else logs in with this app so often":                                        changed(),
	}
}

const clientID, tenantID = "22222222-2222-2222-2222-222222222222", "11111111-1111-1111-1111-111111111111"

func remediesOfTheWay() map[string]func(*met) {
	const wait = "if it lasts, see the service health page of the admin centre"
	listen := func(m *met) {
		m.d.Listen(m.t)
		m.again()
	}
	return map[string]func(*met){
		graph.AdviceProxy: atTheRightPlace,
		"check the endpoints in the configuration: login and graph " +
			"must belong to the same cloud": atTheRightPlace,
		"check cloud (or endpoints) in the configuration: login and " +
			"graph must belong to the same cloud": atTheRightPlace,
		"check client_id, tenant_id and cloud (or endpoints) in the " +
			"configuration": atTheRightPlace,
		"check the login endpoint in the configuration, and any proxy between this machine and " +
			"login.microsoftonline.com (HTTPS_PROXY, NO_PROXY)": atTheRightPlace,
		"check the proxy (proxy or proxy_file in the configuration, else HTTPS_PROXY and NO_PROXY), its password, " +
			"and that it lets CONNECT to port 443 through": atTheRightPlace,
		"check the name servers of this machine: getent hosts graph.microsoft.com": func(m *met) {
			m.configure(m.wrong, strings.Replace(m.d.URL(), "127.0.0.1", "localhost", 1))
			m.again()
		},
		"if a proxy inspects TLS, add its root certificate as " +
			"ca_file of the identity; check this machine's clock": func(m *met) {
			harness.WriteFile(m.t, filepath.Join(m.Dir, "ca.pem"), string(m.d.CA())+m.wrong)
			command(m.t, m.Relay, "reload")
			m.again()
		},
		"check the network, the firewall (port 443 to graph.microsoft.com and login.microsoftonline.com) " +
			"and the proxy (HTTPS_PROXY): graphrelay doctor": listen,
		"nothing to do: it is retried; " + wait:     changed(),
		"nothing to do: it is tried again; " + wait: changed(),
		"have the proxy allow the tenant " +
			"(Restrict-Access-To-Tenants), or exempt this machine": changed(),
		"find what else on this machine logs in with its identity so often":   changed(),
		"wait a minute, as after an update; if it lasts, restart the machine": changed(),
		"check that this is a machine of Azure, and that no proxy " +
			"answers for 169.254.169.254": changed(),
		"check that this is a machine of Azure and that the " +
			"service's user may ask (under Azure Arc: group himds)": changed(),
		"assign the managed identity to the machine (Identity, in its page of the portal), " +
			"or correct managed_identity in the configuration": func(m *met) {
			m.configure("managed_identity: true", "managed_identity: {client_id: "+clientID+"}")
			m.again()
		},
	}
}
