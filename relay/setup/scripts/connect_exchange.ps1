try {
  @CONNECT@
} catch {
  Write-Warning "The sign-in window of Windows failed ($_); signing in with the browser instead."
  @CONNECT@ -DisableWAM
}
$sessions = @(Get-ConnectionInformation | Where-Object { -not $_.IsEopSession })
$right = @($sessions | Where-Object { @RIGHT@ })
if ($right.Count -eq 0 -or $right.Count -ne $sessions.Count) {
  throw "You are signed in to Exchange of the tenant $($sessions.TenantID -join ', '), not of ${Tenant}: nothing was changed in Exchange. Run this again and sign in as an administrator of that tenant."
}

# Results are compared with the name: some cmdlets return everything if they find nothing.
function Get-TheMailbox($Address) {
  return Get-EXOMailbox -Identity $Address -ErrorAction SilentlyContinue | Where-Object { $_.UserPrincipalName -eq $Address -or $_.EmailAddresses -contains ('smtp:' + $Address) }
}
function Get-TheGroup {
  foreach ($key in @($GroupAddress, $GroupName)) {
    $found = Get-DistributionGroup -Identity $key -ErrorAction SilentlyContinue | Where-Object { $_.PrimarySmtpAddress -eq $GroupAddress -or $_.Name -eq $GroupName }
    if ($found) {
      return $found
    }
  }
}
function Get-TheScope($Name) {
  return Get-ManagementScope -Identity $Name -ErrorAction SilentlyContinue | Where-Object { $_.Name -eq $Name }
}
function Get-TheAssignment($Name) {
  return Get-ManagementRoleAssignment -Identity $Name -ErrorAction SilentlyContinue | Where-Object { $_.Name -eq $Name }
}
