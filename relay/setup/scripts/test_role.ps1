# The cmdlet bypasses the caches and checks roles only, not consents: it shows that the roles are right, not that Graph applies them yet.
# `graphrelay verify` shows that.
foreach ($mailbox in $Mailboxes) {
  $result = @(Test-ServicePrincipalAuthorization -Identity $SpId -Resource $mailbox)
  Write-Host ("{0}: InScope {1} (expected: True)" -f $mailbox, ($result.InScope -join ', '))
  if ($result.InScope -notcontains $true) {
    Write-Warning "$mailbox is not in scope yet: a new member takes some minutes; run this again."
  }
}
$result = @(Test-ServicePrincipalAuthorization -Identity $SpId -Resource $Denied)
Write-Host ("{0}: InScope {1} (expected: False)" -f $Denied, ($result.InScope -join ', '))
if ($result.InScope -contains $true) {
  throw "$Denied is in scope, so nothing is restricted: look at the members of $GroupAddress and at the scope."
}
Get-ManagementRoleAssignment -RoleAssignee $SpId | Format-Table -Property @('Name', 'Role', 'CustomResourceScope')
