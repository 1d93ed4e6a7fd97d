foreach ($role in $Roles) {
  $name = $AppName + ' ' + $role
  if (Get-TheAssignment $name) {
    Remove-ManagementRoleAssignment -Identity $name -Confirm:$false
  }
}
foreach ($name in @($CanaryScope, $ScopeName)) {
  if (Get-TheScope $name) {
    Remove-ManagementScope -Identity $name -Confirm:$false
  }
}
foreach ($pointer in @(Get-ServicePrincipal -Identity $AppId -ErrorAction SilentlyContinue | Where-Object { $_.AppId -eq $AppId })) {
  Remove-ServicePrincipal -Identity $pointer.ObjectId -Confirm:$false
}
