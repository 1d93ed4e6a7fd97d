package setup

// side is where a step runs.
type side int

const (
	inEntra    side = iota // with the Microsoft Graph modules, or az
	inExchange             // with the Exchange Online module
	onlyWait
)

// step is one part of a script. Its commands are given for both shells if they
// differ: Exchange has only cmdlets.
type step struct {
	title string
	why   []string // comment lines
	side  side
	ps    []string // PowerShell
	sh    []string // the same by az, for steps in Entra
}

// steps are those of the task, in the order that never leaves the application
// unrestricted.
func (p Plan) steps() []step {
	switch p.Task {
	case Undo:
		if p.Method == Policy {
			return []step{p.find(), p.removeConsent(), p.waitForTokens("the policy goes"), p.removePolicy(),
				p.removeGroup(), p.removeApp()}
		}
		return []step{p.find(), p.removeRoles(), p.removeGroup(), p.removeApp()}
	case Migrate:
		return []step{p.find(), p.pointer(), p.group(), p.canary(), p.role(), p.testRole(), p.waitForRole(),
			p.removeConsent(),
			p.waitForTokens("the policy goes"), p.removePolicy(), p.copyBack()}
	}
	if p.Method == Policy {
		return []step{p.register(), p.noConsentYet(), p.group(), p.canary(), p.policy(), p.testPolicy(), p.retention(),
			p.waitForPolicy(), p.consent(), p.copyBack()}
	}
	return []step{p.register(), p.noConsent(), p.pointer(), p.group(), p.canary(), p.role(), p.testRole(),
		p.retention(), p.copyBack()}
}

func (p Plan) register() step {
	return step{
		title: "App registration (single tenant), certificate and service principal",
		why: []string{"Nothing is consented here: the app can log in, but do nothing.",
			"A certificate that is already there is not uploaded again; others stay."},
		ps: []string{
			`$app = Get-TheApp`,
			`if (-not $app) {`,
			`  $app = New-MgApplication -DisplayName $AppName -SignInAudience 'AzureADMyOrg'`,
			`}`,
			`$cer = [System.Security.Cryptography.X509Certificates.X509Certificate2]::new((Resolve-Path -LiteralPath ` +
				`$Certificate).Path)`,
			`$keys = @($app.KeyCredentials | Where-Object { $_ })`,
			`$mark = [Convert]::ToBase64String($cer.GetCertHash())`,
			`$have = @($keys | Where-Object { $_.CustomKeyIdentifier -and ` +
				`([Convert]::ToBase64String($_.CustomKeyIdentifier) -eq $mark) })`,
			`if ($have.Count -eq 0) {`,
			`  $new = @{ type = 'AsymmetricX509Cert'; usage = 'Verify'; key = $cer.RawData; displayName = $AppName }`,
			`  Update-MgApplication -ApplicationId $app.Id -KeyCredentials ($keys + $new)`,
			`}`,
			`$AppId = $app.AppId`,
			`$sp = Get-MgServicePrincipal -Filter "appId eq '$AppId'"`,
			`if (-not $sp) {`,
			`  $sp = New-MgServicePrincipal -AppId $AppId`,
			`}`,
			`$SpId = $sp.Id`,
			`Write-Host "Application (client) ID: $AppId"`,
		},
		sh: []string{
			`find_app`,
			`if [ -z "$APP_ID" ]; then`,
			`  APP_ID=$(az ad app create --display-name "$APP_NAME" --sign-in-audience AzureADMyOrg --query appId ` +
				`--output tsv)`,
			`fi`,
			`if [ -z "$(az ad app credential list --id "$APP_ID" --cert --query ` +
				`"[?customKeyIdentifier=='$(thumbprint)'].keyId" --output tsv)" ]; then`,
			`  openssl x509 -inform der -in "$CERTIFICATE" -out "$WORK/app.pem" 2>/dev/null || openssl x509 -in ` +
				`"$CERTIFICATE" -out "$WORK/app.pem"`,
			`  az ad app credential reset --id "$APP_ID" --cert "@$WORK/app.pem" --append --output none`,
			`fi`,
			`SP_ID=$(az ad sp show --id "$APP_ID" --query id --output tsv 2>/dev/null || true)`,
			`if [ -z "$SP_ID" ]; then`,
			`  SP_ID=$(az ad sp create --id "$APP_ID" --query id --output tsv)`,
			`fi`,
			`echo "Application (client) ID: $APP_ID"`,
		},
	}
}

// find finds an existing app.
func (p Plan) find() step {
	return step{
		title: "Find the app and its service principal",
		ps: []string{
			`$app = Get-TheApp`,
			`if (-not $app) {`,
			`  throw "There is no app registration named $AppName in this tenant."`,
			`}`,
			`$AppId = $app.AppId`,
			`$SpId = (Get-MgServicePrincipal -Filter "appId eq '$AppId'").Id`,
		},
		sh: []string{
			`find_app`,
			`if [ -z "$APP_ID" ]; then`,
			`  echo "There is no app registration named $APP_NAME in this tenant." >&2`,
			`  exit 1`,
			`fi`,
			`SP_ID=$(az ad sp show --id "$APP_ID" --query id --output tsv)`,
		},
	}
}

// psConsents lists the mail permissions of Graph that are consented.
var psConsents = []string{
	`$graph = Get-MgServicePrincipal -Filter "appId eq '` + graphApp + `'"`,
	`$mailRoles = @($graph.AppRoles | Where-Object { $_.Value -like 'Mail.*' })`,
	`$consents = @(Get-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $SpId -All | Where-Object { ` +
		`$mailRoles.Id -contains $_.AppRoleId })`,
}

var shConsents = []string{
	`GRAPH_ID=$(az ad sp show --id ` + graphApp + ` --query id --output tsv)`,
	`CONSENTS=$(az rest --method get --url "$GRAPH/v1.0/servicePrincipals/$SP_ID/appRoleAssignments" \`,
	`  --query "value[?resourceId=='$GRAPH_ID'].id" --output tsv)`,
}

// noConsent guards the RBAC route: a consent in Entra adds to the role, and then
// nothing is restricted.
func (p Plan) noConsent() step {
	return step{
		title: "No consent for mail may remain in Entra",
		why: []string{"Consents and roles add up: if Mail.Send is consented for the organisation, the scope below " +
			"restricts nothing.",
			"Nothing is removed here, because it may be in use: see `graphrelay setup --migrate`."},
		ps: append(append([]string{}, psConsents...),
			`if ($consents.Count -gt 0) {`,
			`  throw 'This app has organisation-wide consents for mail in Entra. With them nothing is restricted: `+
				`remove them, or migrate with: graphrelay setup --migrate'`,
			`}`),
		sh: append(append([]string{}, shConsents...),
			`if [ -n "$CONSENTS" ]; then`,
			`  echo 'This app has organisation-wide consents in Entra. With them nothing is restricted: remove them, `+
				`or migrate with: graphrelay setup --migrate' >&2`,
			`  exit 1`,
			`fi`),
	}
}

// noConsentYet warns if the consent came before the policy.
func (p Plan) noConsentYet() step {
	return step{
		title: "Is it consented already?",
		why: []string{"The consent comes last. If it is there before the policy has reached Graph, the app can " +
			"send as everybody until then."},
		ps: append(append([]string{}, psConsents...),
			`if ($consents.Count -gt 0) {`,
			`  Write-Warning 'Consents for mail are there already: until the policy below has reached Graph, this `+
				`app may send as everybody in the organisation.'`,
			`}`),
		sh: append(append([]string{}, shConsents...),
			`if [ -n "$CONSENTS" ]; then`,
			`  echo 'WARNING: consents are there already: until the policy below has reached Graph, this app may `+
				`send as everybody in the organisation.' >&2`,
			`fi`),
	}
}

func (p Plan) consent() step {
	s := step{
		title: "Consent, last of all",
		why:   []string{"The policy has been tested and has had time to reach Graph. Only now may the app send."},
		ps: []string{`$graph = Get-MgServicePrincipal -Filter "appId eq '` + graphApp + `'"`,
			`$granted = @(Get-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $SpId -All)`},
		sh: []string{`GRAPH_ID=$(az ad sp show --id ` + graphApp + ` --query id --output tsv)`},
	}
	for _, perm := range p.permissions() {
		s.ps = append(s.ps,
			`if ($granted.AppRoleId -notcontains '`+perm.id+`') { # `+perm.name,
			`  $null = New-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $SpId -PrincipalId $SpId `+
				`-ResourceId $graph.Id -AppRoleId '`+perm.id+`'`,
			`}`)
		s.sh = append(s.sh,
			`if [ -z "$(az rest --method get --url "$GRAPH/v1.0/servicePrincipals/$SP_ID/appRoleAssignments" \`,
			`  --query "value[?appRoleId=='`+perm.id+`'].id" --output tsv)" ]; then # `+perm.name,
			`  az rest --method post --url "$GRAPH/v1.0/servicePrincipals/$SP_ID/appRoleAssignments" --output none \`,
			`    --body "{\"principalId\":\"$SP_ID\",\"resourceId\":\"$GRAPH_ID\",\"appRoleId\":\"`+perm.id+`\"}"`,
			`fi`)
	}
	return s
}

func (p Plan) removeConsent() step {
	return step{
		title: "Remove the consents for mail",
		why: []string{"Before the policy that narrows them: in the other order, the app could send as everybody in " +
			"between."},
		ps: append(append([]string{}, psConsents...),
			`foreach ($one in $consents) {`,
			`  Remove-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $SpId -AppRoleAssignmentId $one.Id`,
			`}`),
		sh: append(append([]string{}, shConsents...),
			`for one in $CONSENTS; do`,
			`  az rest --method delete --url "$GRAPH/v1.0/servicePrincipals/$SP_ID/appRoleAssignments/$one"`,
			`done`),
	}
}

func (p Plan) removeApp() step {
	return step{
		title: "Remove the app registration",
		why: []string{"Stop the relay first. The app can be restored in the portal for 30 days. Mailboxes, " +
			"including the canary, and retention policies stay."},
		ps: []string{`Remove-MgApplication -ApplicationId $app.Id`},
		sh: []string{`az ad app delete --id "$APP_ID"`},
	}
}
