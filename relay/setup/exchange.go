package setup

// pointer registers the service principal in Exchange.
func (p Plan) pointer() step {
	return step{
		title: "Register the service principal in Exchange",
		why:   []string{"The object ID is that of the enterprise application, not of the app registration."},
		side:  inExchange,
		ps: []string{
			`if (-not (Get-ServicePrincipal -Identity $SpId -ErrorAction SilentlyContinue)) {`,
			`  $null = New-ServicePrincipal -AppId $AppId -ObjectId $SpId -DisplayName $AppName`,
			`}`,
		},
	}
}

// group holds the mailboxes, shared ones among them: a policy cannot name a shared
// mailbox directly, and a role does not reach into nested groups.
func (p Plan) group() step {
	return step{
		title: "A mail-enabled security group with exactly the mailboxes of the relay",
		why: []string{"Its owner is the person who runs this script; nobody can join or leave it, and it accepts no " +
			"mail from outside.",
			"Members must be direct: a role does not reach into nested groups."},
		side: inExchange,
		ps: []string{
			`$group = Get-DistributionGroup -Identity $GroupAddress -ErrorAction SilentlyContinue`,
			`if (-not $group) {`,
			`  $owner = @(Get-ConnectionInformation)[0].UserPrincipalName`,
			`  $group = New-DistributionGroup -Name $GroupName -Type Security -PrimarySmtpAddress $GroupAddress ` +
				`-ManagedBy $owner -MemberJoinRestriction Closed -MemberDepartRestriction Closed ` +
				`-RequireSenderAuthenticationEnabled $true`,
			`}`,
			`foreach ($mailbox in $Mailboxes) {`,
			`  if (-not (Get-EXOMailbox -Identity $mailbox -ErrorAction SilentlyContinue)) {`,
			`    throw "There is no mailbox $mailbox in this organisation. Make it (a shared one will do), or ` +
				`correct the configuration."`,
			`  }`,
			`  Add-DistributionGroupMember -Identity $GroupAddress -Member $mailbox -ErrorAction SilentlyContinue ` +
				`-ErrorVariable failed`,
			`  if ($failed -and ("$failed" -notmatch 'already a member')) {`,
			`    throw $failed[0]`,
			`  }`,
			`}`,
			`$extra = @(Get-DistributionGroupMember -Identity $GroupAddress -ResultSize Unlimited | Where-Object { ` +
				`$Mailboxes -notcontains $_.PrimarySmtpAddress })`,
			`if ($extra.Count -gt 0) {`,
			`  Write-Warning ('The group has members that the relay does not send as: ' + ($extra.PrimarySmtpAddress ` +
				`-join ', '))`,
			`}`,
		},
	}
}

// canary is the mailbox that must be refused.
func (p Plan) canary() step {
	s := step{
		title: "The canary: a mailbox that the app must not be able to use",
		why: []string{"It must exist, be hosted in Exchange Online and be ordinary: a missing mailbox or an " +
			"administrator's is always refused",
			"and proves nothing. It needs no mail and no user."},
		side: inExchange,
		ps: []string{
			`if (-not (Get-EXOMailbox -Identity $Denied -ErrorAction SilentlyContinue)) {`,
			`  throw "There is no mailbox $Denied, which is to be refused. Name one that exists, is licensed and is ` +
				`nobody's with an administrator's role: --denied"`,
			`}`,
		},
	}
	if p.Denied.IsZero() {
		s.why = append(s.why, "None is configured, so the script creates a shared mailbox: it is hosted and "+
			"reachable like a licensed one, and costs nothing.",
			"Or name an ordinary licensed mailbox with --denied.")
		s.ps = []string{
			`if (-not (Get-EXOMailbox -Identity $Denied -ErrorAction SilentlyContinue)) {`,
			`  $null = New-Mailbox -Shared -Name ($AppName + ' canary') -PrimarySmtpAddress $Denied`,
			`}`,
		}
	}
	return s
}

func (p Plan) role() step {
	s := step{
		title: "Scope and role: this app, these mailboxes, no others",
		why: []string{"A role without -CustomResourceScope would reach every mailbox; an assignment of the same " +
			"name with another scope stops the script."},
		side: inExchange,
		ps: []string{
			`$dn = (Get-DistributionGroup -Identity $GroupAddress).DistinguishedName`,
			`$filter = "MemberOfGroup -eq '" + $dn.Replace("'", "''") + "'"`,
			`if (-not (Get-ManagementScope -Identity $ScopeName -ErrorAction SilentlyContinue)) {`,
			`  $null = New-ManagementScope -Name $ScopeName -RecipientRestrictionFilter $filter`,
			`}`,
		},
	}
	for _, role := range p.roles() {
		name := psQuote(p.roleName(role))
		s.ps = append(s.ps,
			`$assignment = Get-ManagementRoleAssignment -Identity `+name+` -ErrorAction SilentlyContinue`,
			`if (-not $assignment) {`,
			`  $assignment = New-ManagementRoleAssignment -Name `+name+` -App $SpId -Role `+psQuote(role)+
				` -CustomResourceScope $ScopeName`,
			`}`,
			`if ("$($assignment.CustomResourceScope)" -ne $ScopeName) {`,
			`  throw 'This role is assigned with another scope: remove it with Remove-ManagementRoleAssignment, and `+
				`run this again.'`,
			`}`)
	}
	return s
}

func (p Plan) testRole() step {
	return step{
		title: "Test: InScope must be True for each mailbox, and False for the canary",
		why: []string{"The cmdlet bypasses the caches and checks roles only, not consents: it shows that the roles " +
			"are right, not that Graph applies them yet.",
			"`graphrelay verify` shows that."},
		side: inExchange,
		ps: []string{
			`foreach ($mailbox in $Mailboxes) {`,
			`  $result = @(Test-ServicePrincipalAuthorization -Identity $SpId -Resource $mailbox)`,
			`  Write-Host ("{0}: InScope {1} (expected: True)" -f $mailbox, ($result.InScope -join ', '))`,
			`  if ($result.InScope -notcontains $true) {`,
			`    Write-Warning "$mailbox is not in scope yet: a new member takes some minutes; run this again."`,
			`  }`,
			`}`,
			`$result = @(Test-ServicePrincipalAuthorization -Identity $SpId -Resource $Denied)`,
			`Write-Host ("{0}: InScope {1} (expected: False)" -f $Denied, ($result.InScope -join ', '))`,
			`if ($result.InScope -contains $true) {`,
			`  throw "$Denied is in scope, so nothing is restricted: look at the members of $GroupAddress and at the ` +
				`scope."`,
			`}`,
			`Get-ManagementRoleAssignment -RoleAssignee $SpId | Format-Table -Property @('Name', 'Role', ` +
				`'CustomResourceScope')`,
		},
	}
}

func (p Plan) policy() step {
	return step{
		title: "The access policy: this app, the members of the group, no one else",
		why:   []string{"Access policies are the older way; for new tenants, use --method rbac."},
		side:  inExchange,
		ps: []string{
			`if (-not (Get-ApplicationAccessPolicy -ErrorAction SilentlyContinue | Where-Object { $_.AppId -eq ` +
				`$AppId })) {`,
			`  $null = New-ApplicationAccessPolicy -AppId $AppId -PolicyScopeGroupId $GroupAddress -AccessRight ` +
				`RestrictAccess -Description ($AppName + ': only members of ' + $GroupAddress)`,
			`}`,
			`Get-ApplicationAccessPolicy | Where-Object { $_.AppId -eq $AppId } | Format-List -Property ` +
				`@('Identity', 'AppId', 'ScopeName', 'AccessRight')`,
		},
	}
}

func (p Plan) testPolicy() step {
	return step{
		title: "Test: Granted for each mailbox, Denied for the canary",
		why: []string{"The cmdlet shows that the policy is right, not that Graph applies it yet: that takes an " +
			"hour or more."},
		side: inExchange,
		ps: []string{
			`foreach ($mailbox in $Mailboxes) {`,
			`  $result = (Test-ApplicationAccessPolicy -Identity $mailbox -AppId $AppId).AccessCheckResult`,
			`  Write-Host ("{0}: {1} (expected: Granted)" -f $mailbox, $result)`,
			`  if ("$result" -ne 'Granted') {`,
			`    throw "$mailbox would be refused: look at the members of $GroupAddress. A new group takes some ` +
				`minutes; run this again."`,
			`  }`,
			`}`,
			`$result = (Test-ApplicationAccessPolicy -Identity $Denied -AppId $AppId).AccessCheckResult`,
			`Write-Host ("{0}: {1} (expected: Denied)" -f $Denied, $result)`,
			`if ("$result" -ne 'Denied') {`,
			`  throw "$Denied would be allowed, so nothing is restricted: nothing is consented now. Look at the ` +
				`policy's group."`,
			`}`,
		},
	}
}

// retention keeps Sent Items, where every relayed message stays, from filling up.
func (p Plan) retention() step {
	return step{
		title: "Sent Items: delete relayed mail after 30 days",
		why: []string{"Graph keeps a copy of each mail in Sent Items, and a full mailbox cannot send. This replaces " +
			"the mailbox's own",
			"retention policy, so mailboxes with another policy than the default are skipped. Change the days, or " +
				"remove this step, to fit your rules."},
		side: inExchange,
		ps: []string{
			`$tag = $AppName + ' sent items'`,
			`if (-not (Get-RetentionPolicyTag -Identity $tag -ErrorAction SilentlyContinue)) {`,
			`  $null = New-RetentionPolicyTag -Name $tag -Type SentItems -RetentionEnabled $true ` +
				`-AgeLimitForRetention 30 -RetentionAction DeleteAndAllowRecovery`,
			`}`,
			`if (-not (Get-RetentionPolicy -Identity $tag -ErrorAction SilentlyContinue)) {`,
			`  $null = New-RetentionPolicy -Name $tag -RetentionPolicyTagLinks $tag`,
			`}`,
			`foreach ($mailbox in $Mailboxes) {`,
			`  $now = "$((Get-Mailbox -Identity $mailbox).RetentionPolicy)"`,
			`  if ($now -eq '' -or $now -eq 'Default MRM Policy') {`,
			`    Set-Mailbox -Identity $mailbox -RetentionPolicy $tag`,
			`  } elseif ($now -ne $tag) {`,
			`    Write-Warning "$mailbox keeps its retention policy $now; see that it empties Sent Items."`,
			`  }`,
			`}`,
		},
	}
}

func (p Plan) removeRoles() step {
	s := step{title: "Remove roles, scope and pointer: from here on the app may do nothing", side: inExchange}
	for _, role := range []string{"Application Mail.Send", "Application Mail.ReadWrite"} {
		name := psQuote(p.roleName(role))
		s.ps = append(s.ps,
			`if (Get-ManagementRoleAssignment -Identity `+name+` -ErrorAction SilentlyContinue) {`,
			`  Remove-ManagementRoleAssignment -Identity `+name+` -Confirm:$false`,
			`}`)
	}
	s.ps = append(s.ps,
		`if (Get-ManagementScope -Identity $ScopeName -ErrorAction SilentlyContinue) {`,
		`  Remove-ManagementScope -Identity $ScopeName -Confirm:$false`,
		`}`,
		`if (Get-ServicePrincipal -Identity $SpId -ErrorAction SilentlyContinue) {`,
		`  Remove-ServicePrincipal -Identity $SpId -Confirm:$false`,
		`}`)
	return s
}

func (p Plan) removePolicy() step {
	return step{
		title: "Remove the access policy",
		side:  inExchange,
		ps: []string{
			`foreach ($policy in @(Get-ApplicationAccessPolicy -ErrorAction SilentlyContinue | Where-Object { ` +
				`$_.AppId -eq $AppId })) {`,
			`  Remove-ApplicationAccessPolicy -Identity $policy.Identity -Confirm:$false`,
			`}`,
		},
	}
}

func (p Plan) removeGroup() step {
	return step{
		title: "Remove the group",
		side:  inExchange,
		ps: []string{
			`if (Get-DistributionGroup -Identity $GroupAddress -ErrorAction SilentlyContinue) {`,
			`  Remove-DistributionGroup -Identity $GroupAddress -Confirm:$false`,
			`}`,
		},
	}
}
