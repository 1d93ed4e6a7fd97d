package e2e_test

import "maps"

// remediesOfParts are the remedies that a test of a part follows, of the booted
// Debian, or of a broken disk, and those that a test holds by their text.
func remediesOfParts() map[string]string {
	all := byText(remediesFollowedInParts())
	maps.Copy(all, byText(remediesHeldByText()))
	return all
}

func byText(tests map[string][]string) map[string]string {
	all := map[string]string{}
	for where, remedies := range tests {
		for _, text := range remedies {
			all[text] = where
		}
	}
	return all
}

// remediesFollowedInParts are those whose test provokes the fault, does what is
// said, and sees it gone.
func remediesFollowedInParts() map[string][]string {
	return map[string][]string{
		"renewal TestTwoYearsOfFailures": {
			"it is tried again; if that fails, renew by hand: graphrelay cert renew",
		},
		"renewal TestAPolicyCapsTheLifetime": {
			"a shorter one is tried; if that fails, see Entra ID > App management policies",
		},
		"e2e TestAReloadThatFailsChangesNothing": {
			"correct it (graphrelay check lists its mistakes), then run: graphrelay reload",
		},
		"e2e TestQueueMove": {
			"name another one in the configuration of --to-config",
			"name its configuration with --config",
			"stop the service, on each node and with its socket units: systemctl stop graphrelay",
			"name that store in the configuration; to have the queue back, move it from there",
		},
		"spool/sqlite TestMoveKilledAnywhere": {
			"run the same graphrelay queue move again, or undo it: add --abort",
		},
		"spool/sqlite TestMoveMeetsAFault": {
			"mend what the detail says and run it again, or undo it with --abort",
			"undo the move with --abort, and begin it again",
		},
		"spool/sqlite TestMoveToASmallDisk": {
			"free space on it, or name a store on another disk",
		},
		"e2e TestIncidentRestore": {
			"if they were not sent since the copy was made: graphrelay queue release --all; " +
				"delete those that were: graphrelay queue list --state held",
		},
		"../config TestCommandsOfRemediesAreFollowed": {
			"chgrp graphrelay … && chmod 640 …",
			"chmod 644 …",
			"chmod 755 …",
			"run: …",
			"run: install -d -o graphrelay -g graphrelay -m 750 …",
		},
		"e2e/system TestPackage": {
			"run: chgrp graphrelay … && chmod 640 …",
			"move … to /etc/graphrelay, for the group graphrelay to read, and correct the path",
			"run: systemctl enable … && systemctl restart graphrelay",
			"use a port from 1024 up, or let a socket unit open this one",
			"write a path under /var/lib/graphrelay or /run/graphrelay",
			"write one of the names that socket units have: …",
		},
		"verify TestReach": {
			"something on the way opens TLS: exempt this host from it, or trust its root with ca_file",
		},
		"verify TestClockBorders": {
			", before logins fail",
			": logins with a certificate fail from 5 minutes on",
			"set this host's clock right (timedatectl set-ntp true)…",
		},
		"verify TestWhatTheConfigurationNeedsBesideSending": {
			"grant Application … for this mailbox (graphrelay setup prints the script; with an access policy " +
				"consent to …), and wait: it takes 30 minutes to 2 hours to reach Graph",
		},
		"entra TestExpiryText": {
			"make a new one (graphrelay cert renew), upload it to the app registration, and replace " +
				"certificate_file; no restart is needed",
			"make a new one in the app registration, put its Value into client_secret_file, and correct " +
				"client_secret_expires; no restart is needed",
		},
		"spool/sqlite/disk TestSpace": {
			"give the service's user access to the folder of queue.store",
		},
		"spool/sqlite TestDisplacedFileThatCannotBeSaved": {
			"do not stop the service before its queue is saved: give its folder space and rights for a copy",
		},
		"e2e/torture TestStatusWhileReadingFails": {
			"repair the disk of queue.store; what status shows of the queue is what was read last",
		},
		"e2e/torture TestNoInodes": {
			"remove files on the disk of queue.store",
		},
		"e2e/torture TestRecoversWithoutARestart": {
			"repair the disk of queue.store, or free space on it; the queue then recovers by itself",
		},
		"delivery TestLookupDoubtIsHeldUntilReleased": {
			"check Sent Items of the mailbox, then release or delete it",
		},
		"delivery TestLookupNotAllowed": {
			"…; until then messages that may have been sent are held",
		},
		"delivery TestReportNotKept": {
			"check the disk that holds the queue",
		},
		"delivery TestReportThatFails": {
			"see why with graphrelay queue list --state failed, and retry it once the cause is gone",
		},
		"delivery TestSameUnknownCodeHoldsTheClient": {
			"look up the code; the messages that failed before can be retried with graphrelay queue retry",
		},
		"delivery TestSealedLargeMailBounces": {
			"sending it in parts would break its signature or encryption: set delivery.large_messages: smtp, " +
				"send a smaller message or a link, or leave it unsigned and unencrypted",
		},
		"delivery TestLargeMailOfTooManyPartsGoesAsAnArchive": {
			"pack the files into an archive",
		},
		"../config TestRemediesOfWarningsAreFollowed": {
			"send from a domain of your own, which you add to the tenant",
			"write default_sender with an address of their own, and add it to senders",
		},
		"smtpd TestRemediesOfConnectionsAreFollowed": {
			"the client does not trust smtp.tls.certificate_file: install its issuer in the client, or use a " +
				"certificate that the client trusts",
			"add the client's network to plaintext_auth, or give the listener tls",
			"find out why the client opens so many, or raise smtp.max_connections",
			"the client does not start TLS here: choose the same in the client and in the listener's tls, " +
				"STARTTLS or implicit TLS",
			"the client is too old for modern TLS: give it a listener of its own with legacy_tls: true",
		},
		"policy TestConnect": {
			", or add one that logs in",
		},
		"policy TestRefusalNamesTheClientsOwnList": {
			"if it may send, add it to senders of the client, and to senders of the relay unless it is there: …",
			"if it may send, add there: - address: …",
		},
		"alert TestCheckURLFile": {
			"correct alerts.webhook_url_file",
			"write one https URL into it, alone on one line",
		},
		"entra TestParseSecret": {
			"put the Value of the client secret (not its Secret ID) alone on one line",
		},
		"renewal TestRemediesAreFollowed": {
			"check app_object_id (Object ID on the overview page of the app registration) and this host's clock",
			"correct app_object_id: Object ID on the overview page of the app registration",
			"correct its path or mode",
			"it is tried again; graphrelay cert show FILE has the history",
			"renew it by hand (graphrelay cert renew), or set certificate_renewal: off",
			"run graphrelay cert roll as root, by: systemctl enable --now graphrelay-cert-roll.timer",
			"the renewal continues by itself; find out what changes the files beside certificate_file",
			"let the service read it; graphrelay cert roll replaces a damaged one",
			"renew it by hand (graphrelay cert renew), or exempt the app: Entra ID > App management policies",
		},
		"doctor TestAPortIsGivenUpOrAnotherOneChosen": {
			"…, or choose another port in smtp.listeners",
			"check that … should hold it: it gets the mail of programs on this host that send to localhost",
		},
		"doctor TestAProgramIsStoppedOrAnotherPortWritten": {
			"stop that program, or write another port",
		},
		"doctor TestRootSeesWhoHasAPort": {
			"run this as root, or run: ss -ltnp",
		},
		"doctor TestRemediesOfListenersAreFollowed": {
			"install the package, or a socket unit with FileDescriptorName=… and Service=graphrelay.service",
			"write IP:PORT, as in 127.0.0.1:2525",
			"run: systemctl disable --now …; or write systemd:…",
		},
		"doctor TestThePackagesUnitEndsWhatIsSaidOfAnother": {
			"install the package, or systemd/graphrelay.service",
			"use the package's unit, which runs it as graphrelay",
			"use the package's unit; systemd-analyze security graphrelay shows what is open",
		},
		"doctor TestTheFolderOfTheStoreIsCreated": {
			"if it does not exist, create it: install -d -o graphrelay -g graphrelay -m 750 …; else run this as " +
				"root",
		},
		"doctor TestTheConfigurationOfAWayIsCorrected": {
			"correct the configuration",
		},
		"verify TestRemediesOfTheWayAreFollowed": {
			"correct the endpoint in the configuration",
			"allow this host to connect to …, or set proxy (or HTTPS_PROXY); where one is set, check " +
				"that it allows CONNECT",
			"check this host's clock, and what opens TLS on the way",
			"make sure that this host can look up names (resolvectl query …), or set proxy (or HTTPS_PROXY) " +
				"where a proxy has to do it",
		},
		"verify TestRemediesAreFollowed": {
			"; [RAOP] without any policy in the tenant means that the tenant lets no app use mailboxes by " +
				"consent alone, or that the mailbox is an administrator's: assign a role (graphrelay setup --method " +
				"rbac)",
			"set denied_mailbox, and run graphrelay verify --to ADMIN",
			"it expires soon: make the next one with `graphrelay cert renew`",
			"make the next one with `graphrelay cert renew`, upload it and put it in place",
			"it names another app than the configuration: check client_id",
			"name one that must be able to send with --allowed",
			"only an access policy narrows this; with RBAC for Applications remove the consent, or nothing is " +
				"restricted",
			"remove Mail.Read, Mail.ReadBasic and Mail.ReadWrite from the consents, or narrow the role of that name",
			"restrict the app before anything else is done with it",
			"write denied_mailbox with an existing, licensed, ordinary mailbox, or name it with --denied",
		},
		"canary TestACanaryGoesMissing": {
			"find it with a message trace in the Exchange admin center, in Junk Email, and among the rules of the " +
				"mailbox; see Service health",
		},
		"canary TestACanaryInJunkEmail": {
			"mark it as not junk in the mailbox, and allow the sender address for the tenant; a message trace in the " +
				"Exchange admin center says why",
		},
		"canary TestACanaryThatFails": {"see why with graphrelay trace …"},
		"canary TestAMailboxThatCannotBeRead": {
			"correct audit.canary, or create the mailbox",
			"grant it \"…\" for this mailbox with the script of graphrelay setup, which takes up to 2 hours to reach " +
				"Graph",
		},
		"../config TestACanaryInAnotherTenant": {"write a mailbox of the same tenant: the app can read no other"},
		"tracking TestAMailboxThatMayNotBeRead": {
			"grant it \"…\" for this mailbox with the script of graphrelay setup, which takes up to 2 hours to reach " +
				"Graph; mail is sent meanwhile",
		},
		"tracking TestNothingIsLostOnTheWay": {"nothing to do: it is read again from the beginning"},
		"tracking TestAlarms": {
			"see why with graphrelay trace --undelivered --client … --since 1d, and correct the addresses that it " +
				"writes to",
		},
		"tracking TestGraphThatShowsNoHeaders": {"set track_bounces to full and grant \"…\""},
		"verify TestAnInterruptedVerificationIsRunAgain": {
			"run it again",
		},
		"state TestRemediesOfAlarmsAreFollowed": {
			"…; see also graphrelay trace --client …",
			"free space on the disk of queue.store",
			"spread the mail over more mailboxes, with senders and mailbox in the configuration",
			"if that is a loop, stop the device, then graphrelay queue delete --client …; rate of the client " +
				"limits it for good",
		},
		"submission TestRemediesOfSubmission": {
			`grant the app "Application SMTP.SendAsApp" for this mailbox (graphrelay setup prints how), ` +
				"and wait: it takes 30 minutes to 2 hours to count",
			"switch it on for this mailbox alone: Set-CASMailbox -SmtpClientAuthenticationDisabled $false; " +
				"or set delivery.large_messages to upload or off",
			"exempt the mailbox from the policy that forbids SMTP AUTH (Get-AuthenticationPolicy, security " +
				"defaults, Conditional Access), or set delivery.large_messages to upload or off",
			"raise what the mailbox may send (Set-Mailbox -MaxSendSize), lower smtp.max_message_size, " +
				"or send a link in place of the attachment",
			"wait: large mail is sent again by itself; it shares the mailbox's limits (3 connections, " +
				"30 messages a minute, 10,000 recipients a day) with whatever else submits as it",
			"ask a recipient whether it arrived, before the message is sent again by hand",
			"check endpoints.submission, and what stands between this host and the submission server: " +
				"graphrelay doctor --egress",
			"if something on the way opens TLS, exempt this host, or add its root certificate as ca_file of the " +
				"identity; check this machine's clock",
			"look up the code in the detail, and mend what it names; large mail is tried again by itself",
			"correct the recipients: nobody got the message",
		},
		"verify TestSubmissionIsProven": {
			"narrow the role Application SMTP.SendAsApp, and take its consent or mailbox permissions away",
		},
		"submission TestWithoutAReply": {
			"let this host connect to port 587 of the submission server, without a proxy: graphrelay doctor --egress",
		},
		"delivery TestLargeMailIsHeldWhenUploadIsTurnedOff": {
			"set delivery.large_messages: upload again (or smtp), reload and release the message, or delete it",
		},
	}
}

// remediesHeldByText are those that nobody follows here: what is to be done is
// somebody else's, a look at something, or a change to a host that no test has. The
// test holds when the remedy is printed.
func remediesHeldByText() map[string][]string {
	return map[string][]string{
		"renewal TestTwoYearsOfFailures": {
			"let root renew it: systemctl enable --now graphrelay-cert-roll.timer",
		},
		"spool/sqlite TestMoveRefusals": {
			"name an empty store with --to-config: another file, or another database",
			"end the move that brought it first",
			"name the same file with --to-config as before",
			"run it again with --abort",
			"start the service",
		},
		"spool/postgres TestServersThatAreRefused": {
			"install PostgreSQL 13 or later",
			"set fsync = on in postgresql.conf and restart it",
			"set full_page_writes = on in postgresql.conf and reload it",
			"create another: createdb -T template0 -E UTF8",
			"name the primary in the URL, or every host of the cluster",
		},
		"spool/postgres TestCausesSayWhatToDo": {
			"free space on the disk of the database",
			"name its CA with sslrootcert=FILE in the URL, and the host as the certificate does",
			"see its log, and what the detail says",
			"let the user own the database, or GRANT CREATE on it",
			"name the server itself in the URL: a pooler cannot pass on what keeps the queue safe",
			"start the primary, or promote a standby that the URL names",
			"start it, or correct host and port in the URL of queue.store_url_file",
			"see whether the database, its standby and the network to them work; the clients were asked to try " +
				"again, and what is stored is removed then",
		},
		"spool/postgres TestLeaseSaysWhatToDo": {
			"start the standby, or remove it from synchronous_standby_names",
			"nothing to do: the service restarts and joins again",
			"see whether the database, its standby and the network to them work; mail is accepted again once it does",
		},
		"spool/postgres TestMovingIsAlone": {
			"wait until graphrelay queue move has ended",
		},
		"spool/postgres TestUpkeepIsExamined": {
			"raise max_connections in postgresql.conf and restart it",
			"see that autovacuum is on in postgresql.conf, and run VACUUM graphrelay.…",
			"start its standby, or drop it: SELECT pg_drop_replication_slot('%s')",
			"end it: ROLLBACK PREPARED '%s'",
			"end its connection: SELECT pg_terminate_backend(%s)",
		},
		"spool/postgres TestReadURL": {
			"write the URL into it, and let the service read it",
		},
		"spool/postgres TestRefusedServers": {
			"install the newer graphrelay again, or name another database in queue.store_url_file",
			"name another database in queue.store_url_file",
			"restore all of schema graphrelay from one backup, or name another database in queue.store_url_file",
		},
		"spool/postgres TestReadOnly": {
			"start the service, which makes it",
		},
		"spool/postgres/link TestURLs": {
			"write one URL, several hosts with commas between, and %20 for a space, %23 for # in a password",
			"correct sslmode, sslrootcert, sslcert and sslkey in the URL, and let the service read the files",
			"add sslmode=verify-full to the URL, and sslrootcert=FILE for a CA of your own",
			"write postgres://USER:PASSWORD@HOST/DATABASE into the file of queue.store_url_file",
			"write postgres://USER:PASSWORD@HOST/DATABASE, special characters of the password as %40 for @",
		},
		"observe TestADatabaseThatDoesNotAnswer": {
			"see whether the database and the network to it work; what status shows of the queue is what was " +
				"read last",
		},
		"e2e TestEveryAnswer": {
			"nothing to do: it is sent after the start",
		},
		"e2e/system TestPackage": {
			"run: chown graphrelay …",
			"run: systemctl disable --now …; or write another port",
			"run: systemctl enable graphrelay",
			"run: systemctl restart graphrelay",
			"run: systemctl start graphrelay; journalctl -u graphrelay shows why it is not active",
			"start it again: systemctl start graphrelay",
			"run: systemctl edit graphrelay, and write under [Service]: LoadCredential=…:/etc/graphrelay/…",
			"write a path under /var/lib/graphrelay; or run: chown graphrelay … && systemctl edit graphrelay, " +
				"and write under [Service]: BindPaths=…",
		},
		"doctor TestJudgesWhoOpensAPort": {
			"run: systemctl list-sockets; stop and disable the unit that has it, or write another port",
		},
		"doctor TestJudgesTheUnit": {
			"make sure that something else restarts graphrelay after a failure and starts it at boot",
		},
		"doctor TestExaminesTheStore": {
			"free space",
			"move queue.store to a local disk",
		},
		"doctor TestJudgesTheNetworksOfClients": {
			"try from there: nc -vz …",
		},
		"state TestFaults": {
			"see why with graphrelay queue list",
		},
		"e2e/torture TestRoomGoesToWhatArrives": {
			"free space on the disk of queue.store, or find out why the client is so slow",
		},
		"e2e TestAnOperatorEndsThePausesOfAnOutage": {
			"nothing to do, unless it lasts: see Service health in the Microsoft 365 admin center",
		},
		"smtpd TestHandshakeRemedyOfAClientThatDoesNotTrust": {
			"check that the client and the listener's tls agree",
		},
		"smtpd TestUnaskedParametersOfDSN": {
			"none needed; DSN is not offered, and only NOTIFY=NEVER has an effect",
		},
		"reply TestEveryRefusalHasAReason": {
			"please report it with the log line",
			"see error in the log, and report it",
			"see the log: the client tries again",
			"see the refusals of the recipients",
			"let the client end its lines with CRLF",
			"find out who logs in so often",
		},
		"e2e TestManualListsEveryRefusal": {
			"correct the password in the client",
			"correct the password in the client, and wait",
			"find out which program keeps them open, or raise smtp.max_connections",
			"find out what opens them, or add its address to networks of a client",
			"give the listener TLS, or add the network to plaintext_auth",
			"if the next login fails, correct the password in the client",
			"turn on STARTTLS in the client",
			"turn on STARTTLS in the client; if it has none, add its network to plaintext_auth",
		},
	}
}
