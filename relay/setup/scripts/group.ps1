# Its owner is the person who runs this script; nobody can join or leave it, and it accepts no mail from outside.
# Members must be direct: a role does not reach into nested groups.
$group = Get-DistributionGroup -Identity $GroupAddress -ErrorAction SilentlyContinue
if (-not $group) {
  $owner = @(Get-ConnectionInformation)[0].UserPrincipalName
  $group = New-DistributionGroup -Name $GroupName -Type Security -PrimarySmtpAddress $GroupAddress -ManagedBy $owner -MemberJoinRestriction Closed -MemberDepartRestriction Closed -RequireSenderAuthenticationEnabled $true
}
foreach ($mailbox in $Mailboxes) {
  if (-not (Get-EXOMailbox -Identity $mailbox -ErrorAction SilentlyContinue)) {
    throw "There is no mailbox $mailbox in this organisation. Make it (a shared one will do), or correct the configuration."
  }
  Add-DistributionGroupMember -Identity $GroupAddress -Member $mailbox -ErrorAction SilentlyContinue -ErrorVariable failed
  if ($failed -and ("$failed" -notmatch 'already a member')) {
    throw $failed[0]
  }
}
$extra = @(Get-DistributionGroupMember -Identity $GroupAddress -ResultSize Unlimited | Where-Object { $Mailboxes -notcontains $_.PrimarySmtpAddress })
if ($extra.Count -gt 0) {
  Write-Warning ('The group has members that the relay does not send as: ' + ($extra.PrimarySmtpAddress -join ', '))
}
