# For this mailbox alone: it joins no group, and the app may neither send as it nor read what its mail says.
$box = Get-TheMailbox $Canary
if (-not $box) {
  throw "There is no mailbox $Canary, which audit.canary names. Make it (a shared one will do), or correct the configuration."
}
$filter = "PrimarySmtpAddress -eq '" + "$($box.PrimarySmtpAddress)".Replace("'", "''") + "'"
$scope = Get-TheScope $CanaryScope
if (-not $scope) {
  $scope = New-ManagementScope -Name $CanaryScope -RecipientRestrictionFilter $filter
}
if ("$($scope.RecipientFilter)".IndexOf($filter) -lt 0) {
  Set-Note 'Changed' (Get-Now)
  Set-ManagementScope -Identity $CanaryScope -RecipientRestrictionFilter $filter
}
