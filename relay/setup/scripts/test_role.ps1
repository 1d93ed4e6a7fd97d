# The cmdlet bypasses the caches and checks roles only, not consents: it shows that the roles are right, not that Graph applies them yet.
# `graphrelay verify` shows that.
$missing = @()
foreach ($mailbox in $Mailboxes) {
  foreach ($role in $Roles) {
    $result = @(Test-ServicePrincipalAuthorization -Identity $SpId -Resource $mailbox | Where-Object { $_.RoleName -eq $role })
    Write-Host ("{0}, {1}: InScope {2} (expected: True)" -f $mailbox, $role, ($result.InScope -join ', '))
    if ($result.InScope -notcontains $true) {
      $missing += $mailbox
    }
  }
}
$result = @(Test-ServicePrincipalAuthorization -Identity $SpId -Resource $Denied)
Write-Host ("{0}: InScope {1} (expected: False)" -f $Denied, ($result.InScope -join ', '))
if ($result.InScope -contains $true) {
  throw "$Denied is in scope, so nothing is restricted: look at the members of $GroupAddress and at the scope."
}
Get-ManagementRoleAssignment -RoleAssignee $SpId | Format-Table -Property @('Name', 'Role', 'CustomResourceScope')
if ($missing.Count -gt 0) {
  @REPORT@ "Not in scope yet: $($missing -join ', '). A new member takes some minutes; run this again."
}
Set-Note 'Tested' (Get-Now)
