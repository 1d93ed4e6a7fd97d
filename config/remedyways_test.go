package config

const (
	tlsWay  = `smtp:\n  listeners => smtp:\n  tls: {certificate_file: tls.crt, key_file: tls.key}\n  listeners`
	lanWay  = `{name: lan, networks: [10.0.0.0/8]}`
	hashWay = `"$2y$12$abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ."`
	noCred  = `    client_id: 22222222-2222-2222-2222-222222222222\nsenders`
	keyList = "hostname, identities, senders, mailboxes, default_sender, aliases, clients, local_client, smtp, " +
		"queue, delivery, reports, audit, admin, alerts, console, metrics, log"
	idList = "name, tenant_id, client_id, certificate_file, certificate_password_file, certificate_renewal, " +
		"app_object_id, client_secret_file, client_secret_expires, managed_identity, workload_identity, cloud, " +
		"endpoints, ca_file, proxy, proxy_file, max_concurrent, denied_mailbox"
)

// waysOfRemedies are what a remedy says to do, as follow does it.
func waysOfRemedies() map[string][]string {
	all := map[string][]string{}
	for _, rows := range []map[string][]string{waysOfSections(), waysOfClients(), waysOfValues(), waysOfForm()} {
		for remedy, ways := range rows {
			all[remedy] = append(all[remedy], ways...)
		}
	}
	return all
}

func waysOfSections() map[string][]string {
	return map[string][]string{
		"add a client with networks, or with username where the listener has auth; or write a loopback address, as " +
			`in 127.0.0.1:25 or "[::1]:25", or unix:/PATH`: {
			`contoso.com\nsmtp: => contoso.com\nclients: [` + lanWay + `]\nsmtp:`,
			`clients:\n  - name: cron => clients:\n  - ` + lanWay + `\n  - name: cron`,
			`clients:\n  - name: erp => clients:\n  - {name: u, username: u, password_hash: ` + hashWay +
				`}\n  - name: erp`,
			"= 127.0.0.1:25", `= "[::1]:25"`, "= unix:/run/graphrelay/other.sock"},
		"add a sender with it, or remove the entry": {
			`@mailboxes[0] senders:\n => senders:\n  - {address: x@contoso.com, mailbox: TEXT}\n ;; ` +
				`- address: d@ => - address: d@`,
			`mailboxes:\n  - address: b@contoso.com => mailboxes:\n  - address: b@contoso.com ;; ` +
				`senders:\n => senders:\n  - address: b@contoso.com\n`,
			`mailboxes:\n  - address: "*@ => mailboxes:\n  - address: "*@ ;; ` +
				`senders:\n => senders:\n  - {address: "*@contoso.com", mailbox: self}\n`, "-"},
		"add an entry to mailboxes with this address and an identity": {
			`mailboxes:\n => mailboxes:\n  - {address: "TEXT", identity: one}\n`},
		"add mailbox: ADDRESS with the mailbox that sends for the domain, or mailbox: self where each address is a " +
			"mailbox": {`"*@fabrikam.com" => "*@fabrikam.com"\n    mailbox: a@contoso.com`,
			`"*@fabrikam.com" => "*@fabrikam.com"\n    mailbox: self`},
		"write another mailbox, which the app may read": {
			"= check@contoso.com"},
		"decrypt the key (openssl pkey -in old.pem -out entra.pem) and remove the password: the next key has none": {
			`    certificate_password_file: password\n => `},
		"remove it; a certificate carries its own expiry date": {
			"-"},
		"remove the key": {
			"-"},
		"write a name for each": {
			`  - tenant_id: contoso.com =>   - name: two\n    tenant_id: contoso.com`},
		"write a name from identities": {
			"= default"},
		"write address: notifications@contoso.com": {
			`- mailbox: => - address: notifications@contoso.com\n    mailbox:`},
		"write an address from senders, or add it there": {
			"= a@contoso.com",
			`senders:\n => senders:\n  - address: TEXT\n`},
		"write another address, or remove the entry": {
			"= 127.0.0.1:26", "-"},
		"write another mailbox that exists, is licensed and belongs to no administrator": {
			"= nobody@contoso.com"},
		"write another path": {
			"= unix:/run/graphrelay/submit.sock"},
		"write another port": {
			"= 127.0.0.1:9725"},
		"write app_object_id: Object ID on the overview page of the app registration, not that of the enterprise app": {
			`: auto => : auto\n    app_object_id: 33333333-3333-3333-3333-333333333333`},
		"write at most 2136KiB, raise delivery.mime_limit (to 3MiB at most), or write delivery.large_messages: " +
			"upload": {
			"= 2136KiB", `: 2200KiB\n => : 2200KiB\ndelivery: {mime_limit: 3MiB}\n`,
			`: 2200KiB\n => : 2200KiB\ndelivery: {large_messages: upload}\n`, `messages: off => messages: upload`},
		"write auth: optional, or remove the key": {
			`    plaintext_auth =>     auth: optional\n      plaintext_auth`, "-"},
		"write certificate_file too, or remove it": {
			`certificate_pass => certificate_file: entra.pem\n    certificate_pass`, "-"},
		"write store for a file of this host, or store_url_file for a PostgreSQL database": {
			"-", `  store: sqlite:/var/lib/graphrelay/queue.db\n => `},
		"write cloud for Microsoft, or endpoints for other servers": {
			"-", `    cloud: usgov\n => `},
		"write exactly one of certificate_file, client_secret_file, managed_identity and workload_identity": {
			noCred + ` =>     certificate_file: entra.pem\n` + noCred,
			noCred + ` =>     client_secret_file: s\n` + noCred,
			noCred + ` =>     managed_identity: true\n` + noCred, noCred + ` =>     workload_identity: true\n` + noCred,
			`client_secret: => client_secret_file:`, `client_id: y => client_id: y\n    certificate_file: entra.pem`,
			"@identities[0].managed_identity -", "@identities[0].workload_identity -",
			"@identities[0].client_secret -"},
		"write graph: https://127.0.0.1:8443": {
			`8443} => 8443, graph: https://127.0.0.1:8443}`},
		"write identities with at least one entry of " + idList: {
			`senders: => identities: [{tenant_id: contoso.com, ` +
				`client_id: 22222222-2222-2222-2222-222222222222, certificate_file: entra.pem}]\nsenders:`},
		"write key_file: the path of a file": {
			`tls.crt} => tls.crt, key_file: tls.key}`},
		"write off: only a certificate renews itself": {
			"= off"},
		"write one entry for each address; letter case does not matter": {
			"-"},
		"write 149MiB": {
			"= 149MiB"},
		"write delivery.large_messages: upload": {
			`messages: smtp => messages: upload`},
		"write HOST:PORT, as in 127.0.0.1:587": {
			"= 127.0.0.1:587"},
		"add submission: HOST:PORT": {
			`8443"} => 8443", submission: "127.0.0.1:587"}`},
		"write one entry for each mailbox": {
			"-"},
		"write one of them": {
			"-", `    proxy: http://proxy:3128\n => `},
		"write only the addresses of the load balancers": {
			"= 10.0.0.8"},
		"write password_hash: the line that graphrelay passwd prints": {
			`console:\n => console:\n  password_hash: ` +
				hashWay + `\n`},
		"write senders with at least one entry of address, mailbox": {
			`entra.pem\n => entra.pem\nsenders:\n  - address: a@contoso.com\n`},
		"write smtp.max_message_size: at most 960KiB, raise delivery.mime_limit (to 3MiB at most), or write " +
			"delivery.large_messages: upload": {`delivery: => smtp: {max_message_size: 960KiB}\ndelivery:`, "= 3MiB",
			`: 1MiB => : 1MiB\n  large_messages: upload`},
		"write smtp.tls with a certificate, or plaintext_auth with the networks that may log in without TLS": {
			tlsWay,
			`@smtp.listeners[0] auth: required => auth: required\n      plaintext_auth: [10.0.0.0/8]`,
			`@smtp.listeners[1] auth: optional => auth: optional\n      plaintext_auth: [10.0.0.0/8]`},
		"write tls: starttls, or plaintext_auth with the networks that may log in without TLS": {
			`tls: off => tls: starttls`, `tls: off => tls: off\n      plaintext_auth: [10.0.0.0/8]`},
		"write smtp.tls with a certificate, or remove the key": {
			tlsWay, "-"},
		"write smtp.tls with certificate_file and key_file, or tls: off": {
			tlsWay, "= off"},
		"write the address that reports come from": {
			`senders:\n => default_sender: a@contoso.com\nsenders:\n`},
		"write the name of the one that sends for this mailbox": {
			`mailboxes:\n  - => mailboxes:\n  - identity: one\n   `},
		"write the same in both places: the managed identity is the application": {
			"= 22222222-2222-2222-2222-222222222222"},
		"write tls: starttls, or remove the key": {
			`tls: off => tls: starttls`, "-"},
		"write true, or client_id: GUID under it, or remove the key": {
			"= true",
			`identity: false => identity:\n      client_id: 22222222-2222-2222-2222-222222222222`, "-"},
	}
}

func waysOfClients() map[string][]string {
	return map[string][]string{
		"add a client, or remove the key": {
			`: false => : false\nclients: [` + lanWay + `]`, "-"},
		"add an exact address to its senders": {
			`    networks: [10.0.0.0/8]\n    other =>     networks: [10.0.0.0/8]\n    senders: ` +
				`[x@contoso.com]\n    other`,
			`senders: ["*@contoso.com"] => senders: ["*@contoso.com", a@contoso.com]`},
		"add username and password_hash, or recipients; or write a network within 10.0.0.0/8, 172.16.0.0/12, " +
			"192.168.0.0/16 or fc00::/7": {`name: erp => name: erp\n    username: erp\n    password_hash: ` + hashWay,
			`name: erp => name: erp\n    recipients: ["*@contoso.com"]`,
			"= 10.0.0.0/8", "= 172.16.0.0/12", "= 192.168.0.0/16", "= fc00::/7"},
		"move this client above those, or remove it": {
			`@clients[2]   - name: c\n    networks: [10.9.0.0/16, 10.8.0.1]\n =>  ;; ` +
				`clients:\n => clients:\n  - name: c\n    networks: [10.9.0.0/16, 10.8.0.1]\n`,
			`@clients[2]   - name: c\n    networks: [10.9.0.0/16, 10.8.0.1]\n => `,
			`@clients[3]   - name: d\n    networks: [192.168.1.1]\n =>  ;; ` +
				`clients:\n => clients:\n  - name: d\n    networks: [192.168.1.1]\n`,
			`@clients[3]   - name: d\n    networks: [192.168.1.1]\n => `},
		"run: graphrelay passwd, and write the line it prints as password_hash": {
			`username: scanner => username: scanner\n    password_hash: ` + hashWay},
		"run: graphrelay passwd, and write the line it prints, in quotes": {
			"= " + hashWay},
		"write ADDRESS/BITS, as in 10.1.2.0/24 or 2001:db8::/32, or the IP address of one host": {
			"= 10.1.2.0/24",
			"= 2001:db8::/32", "= 10.1.2.3"},
		"write a number from 1 to 1000000, or remove the key for no limit": {
			"= 1/min", "= 1000000/h", "-"},
		"write a number with /s, /min or /h, as in 30/min": {
			"= 5/s", "= 30/min", "= 300/h"},
		"write all, none, or a list such as [display_name, missing_from]": {
			"= all", "= none",
			"= [display_name, missing_from]"},
		"write an address from senders, or add it there; a wildcard needs the same wildcard there": {
			"= a@contoso.com",
			`senders:\n => senders:\n  - {address: "TEXT", mailbox: a@contoso.com}\n`},
		"write another name": {
			"= other"},
		"write another one": {
			"= other"},
		"write auth: optional for a listener": {
			`clients:\n => smtp: {listeners: [{address: "127.0.0.1:25", auth: optional}]}\nclients:\n`},
		"write display_name, missing_from or local_sender": {
			"= display_name", "= missing_from", "= local_sender"},
		"write name: printers": {
			`  - networks: =>   - name: printers\n    networks:`},
		"write networks: [10.1.2.0/24], or username and password_hash": {
			`name: erp => name: erp\n    networks: [10.1.2.0/24]`,
			`name: erp => name: erp\n    username: erp\n    password_hash: ` + hashWay},
		"write the name that the client logs in with": {
			`    networks: =>     username: scanner\n    networks:`},
		"write two entries, as in 10.0.0.0/8 and fd00::/8": {
			`"::ffff:0.0.0.0/90" => 10.0.0.0/8, fd00::/8`},
		"write up to 128 printable characters, without spaces at either end, as in scanner": {
			"= scanner"},
		"write up to 32 lower-case letters, digits, hyphens, dots or underscores": {
			"= the-erp_1.2"},
	}
}

func waysOfValues() map[string][]string {
	return map[string][]string{
		`write IP:PORT, as in 127.0.0.1:25 or "[::1]:25", unix:/PATH, or systemd:NAME`: {
			"= 127.0.0.1:25",
			`= "[::1]:25"`, "= unix:/run/graphrelay/submit.sock", "= systemd:smtp"},
		"write IP:PORT, as in 127.0.0.1:8025": {
			"= 127.0.0.1:8025"},
		"write IP:PORT, as in 127.0.0.1:9725": {
			"= 127.0.0.1:9725"},
		"write Object ID of the overview page of the app registration": {
			"= 33333333-3333-3333-3333-333333333333"},
		"write YEAR-MONTH-DAY, as in 2027-05-01": {
			"= 2027-05-01"},
		"write a number of bytes, or one with KiB, MiB or GiB, as in 2100KiB": {
			"= 4096", "= 2100KiB", "= 1MiB", "= 1GiB"},
		"write a number with s, m, h or d, as in 30s, 5m, 4h or 5d": {
			"= 30s", "= 5m", "= 4h", "= 5d"},
		"write a shorter duration": {
			"= 5d"},
		"write a smaller number": {
			"= 500"},
		"write digits only, without a sign, a point or a unit": {
			"= 500"},
		"write http://HOST:PORT alone": {
			"= http://proxy:3128"},
		"write http://HOST:PORT, as in http://proxy.contoso.local:3128": {
			"= http://proxy.contoso.local:3128"},
		"write https://HOST or https://HOST:PORT": {
			"= https://127.0.0.1", "= https://127.0.0.1:8443"},
		"write https://HOST or https://HOST:PORT alone": {
			"= https://127.0.0.1", "= https://127.0.0.1:8443"},
		"remove it from the URL": {
			`relay:hunter2@ => `},
		"write letters, digits and hyphens with dots between, as in relay.contoso.local": {
			"= relay.contoso.local"},
		"write name@domain without brackets, spaces or a display name": {
			"= printer@contoso.com"},
		"write name@domain, as in notifications@contoso.com": {
			"= notifications@contoso.com"},
		"write notifications@contoso.com": {
			"= notifications@contoso.com"},
		"write one address, as in notifications@contoso.com": {
			`@aliases = notifications@contoso.com`, `@identities = notifications@contoso.com`,
			`@senders = notifications@contoso.com`,
			`default_sender: "*@contoso.com" => default_sender: notifications@contoso.com ;; ` +
				`- address: a@ => - address: notifications@`},
		"write one of at most 107 bytes": {
			"= unix:/run/graphrelay/submit.sock"},
		"write relay.contoso.local": {
			"= relay.contoso.local"},
		"write relay.contoso.local, or remove the key": {
			"= relay.contoso.local", "-"},
		"write root: admin@contoso.com, or remove the key": {
			`"": => root:`, "-"},
		"write sqlite:PATH, as in sqlite:/var/lib/graphrelay/queue.db": {
			"= sqlite:/var/lib/graphrelay/queue.db"},
		"write systemd:NAME with the FileDescriptorName= of the socket unit, as in systemd:smtp": {
			"= systemd:smtp"},
		"write the Application (client) ID from the application's overview in Entra, as in " +
			"22222222-2222-2222-2222-222222222222": {"= 22222222-2222-2222-2222-222222222222"},
		"write the Directory (tenant) ID from the application's overview in Entra, as in " +
			"11111111-1111-1111-1111-111111111111, or a domain of the tenant": {
			"= 11111111-1111-1111-1111-111111111111", "= contoso.com"},
		"write the address with its full domain, as in notifications@contoso.com": {
			"= notifications@contoso.com"},
		"write the full path": {
			"= /etc/graphrelay/entra.pem"},
		"write the part before the @, as in root: admin@contoso.com": {
			`@aliases.root@localhost root@localhost: => root:`, `@aliases.a "a b": => a:`},
		"write the path itself, or one that begins with ${CREDENTIALS_DIRECTORY}/": {
			"= /etc/graphrelay/entra.pem",
			"= ${CREDENTIALS_DIRECTORY}/entra.pem"},
		"write the path of a file": {
			"= /etc/graphrelay/entra.pem"},
		"write the whole URL into a file that only the service can read, and its path as proxy_file": {
			`proxy: http://relay:hunter2@proxy:3128 => proxy_file: proxy.url`},
		"write unix:/PATH, as in unix:/run/graphrelay/admin.sock": {
			"= unix:/run/graphrelay/admin.sock"},
		"write unix:/PATH, as in unix:/run/graphrelay/submit.sock": {
			"= unix:/run/graphrelay/submit.sock"},
	}
}

func waysOfForm() map[string][]string {
	return map[string][]string{
		"align the keys of a section, and write quotes around a text that contains a colon and a space": {
			`a: b => "a: b"`, `\n   format => \n  format`, `a@b: https://u:hunter2@h => "a@b: https://u:hunter2@h"`},
		"did you mean client_secret_file? If not, remove it": {
			`client_secret: => client_secret_file:`, "-"},
		"did you mean hostname? If not, remove it": {
			`hostnam: => hostname:`, "-"},
		"did you mean queue? If not, remove it": {
			`quue: => queue:`, "-"},
		"remove it": {
			`a\ab => ab`, `/var/\\nx => /var/x`},
		"remove it, or write one of " + keyList: {
			"-", `quarantine:\n  address: a@contoso.com => hostname: relay`,
			`"a\\nb\\e[31m": 1 => hostname: relay`},
		"remove it, or write one of level, format": {
			"-", `colour: blue => level: info`, `colour: blue => format: json`},
		"remove it; copied text often brings it along": {
			`\ufeff => `, `\u200b => `},
		"save the file as UTF-8": {
			`caf\xe9 => café`},
		"use spaces instead": {
			`\tlevel =>   level`},
		`write " in its place, or no quotes at all`: {
			`~"`, "~"},
		"write - in its place": {
			`– => -`},
		"write : and a space in its place": {
			`： => : `},
		"write KEY: VALUE": {
			`? [a]\n: b => hostname: b`},
		"write a space in its place, or remove it": {
			`\u00a0 =>  `, `\u00a0 => `},
		"write no quotes there": {
			"~"},
		"write a value": {
			`senders:\n\u00a0\u00a0- => senders:\n  -`, `tenant_id:\n => tenant_id: contoso.com\n`},
		"write a value, or remove the key": {
			`hostname: => hostname: relay`, `  root: =>   root: a@contoso.com`, "-"},
		"write at least identities and senders": {
			"!"},
		"write at least one entry": {
			"= [{address: a@contoso.com}]"},
		"write at least one entry, or remove the key": {
			`, listeners: [] => , listeners: [{address: 127.0.0.1:25}]`,
			`, listeners: [] => `, "@clients -", `@clients[2] repair: [] => repair: [display_name]`,
			`@clients[0].networks networks: [] => networks: [10.0.0.0/8]`,
			`@clients[0].senders  senders: [] =>  senders: [a@contoso.com]`,
			`@clients[0].recipients recipients: [] => recipients: ["*@contoso.com"]`},
		"write it as in the example configuration": {
			"!"},
		"write it once": {
			"-"},
		"write it once; letter case does not matter": {
			"-"},
		"write level, format under it, indented": {
			`log: info => log:\n  level: info\n  format: text`},
		"write one document, without lines that begin with --- or %": {
			`.com\n---\n => .com\n`, `%YAML 1.2\n---\n => `},
		`write one entry per line, each beginning with "- "`: {
			`senders: a@ => senders:\n  - address: a@`,
			`repair: {all: true} => repair:\n      - display_name`},
		`write quotes around the text, as in "@text"`: {
			`*@contoso.com => "*@contoso.com"`},
		"write root: admin@contoso.com under it, indented": {
			`aliases: [root] => aliases:\n  root: admin@contoso.com`},
		"write the closing quote": {
			`"relay => "relay"`, `"hunter2 => "hunter2"`},
		"write the value itself, and quotes around a text that begins with & or *": {
			`*someone => "*someone"`,
			`: &all => :`, `<<: x\n    => `},
		"write the value on one line": {
			`|\n  relay => relay`},
		"write the value without !": {
			`!!str  => `},
	}
}
