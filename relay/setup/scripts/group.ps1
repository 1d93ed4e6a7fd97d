# Members must be direct: a role does not reach into nested groups.
Set-Note 'Tested' ''
$group = Get-TheGroup
if (-not $group) {
  @NEW@
}
$GroupAddress = "$($group.PrimarySmtpAddress)"
if ("$($group.RecipientTypeDetails)" -ne 'MailUniversalSecurityGroup') {
  throw "$GroupAddress is not a mail-enabled security group: name another one."
}
@HIDE@
$members = @(Get-DistributionGroupMember -Identity $GroupAddress -ResultSize Unlimited)
$wanted = @()
foreach ($mailbox in $Mailboxes) {
  $box = Get-TheMailbox $mailbox
  if (-not $box) {
    throw "There is no mailbox $mailbox in this organisation. Make it (a shared one will do), or correct the configuration."
  }
  $wanted += "$($box.PrimarySmtpAddress)"
  if ($members.PrimarySmtpAddress -notcontains "$($box.PrimarySmtpAddress)") {
    Set-Note 'Changed' (Get-Now)
    Add-DistributionGroupMember -Identity $GroupAddress -Member $box.PrimarySmtpAddress -BypassSecurityGroupManagerCheck
  }
}
$extra = @($members | Where-Object { $wanted -notcontains $_.PrimarySmtpAddress })
if ($extra.Count -gt 0) {
  Write-Warning ('The group has members that the relay does not send as; the app may use them too: ' + ($extra.PrimarySmtpAddress -join ', '))
}
