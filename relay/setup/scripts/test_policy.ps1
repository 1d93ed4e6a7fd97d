# The cmdlet shows that the policy is right, not that Graph applies it yet: that takes an hour or more.
foreach ($mailbox in $Mailboxes) {
  $result = (Test-ApplicationAccessPolicy -Identity $mailbox -AppId $AppId).AccessCheckResult
  Write-Host ("{0}: {1} (expected: Granted)" -f $mailbox, $result)
  if ("$result" -ne 'Granted') {
    throw "$mailbox would be refused: look at the members of $GroupAddress. A new group takes some minutes; run this again."
  }
}
$result = (Test-ApplicationAccessPolicy -Identity $Denied -AppId $AppId).AccessCheckResult
Write-Host ("{0}: {1} (expected: Denied)" -f $Denied, $result)
if ("$result" -ne 'Denied') {
  throw "$Denied would be allowed, so nothing is restricted: nothing is consented now. Look at the policy's group."
}
Set-Note 'Tested' (Get-Now)
