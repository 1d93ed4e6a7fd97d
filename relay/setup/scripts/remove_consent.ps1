foreach ($one in $consents) {
  Set-Note 'Removed' (Get-Now)
  Remove-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $SpId -AppRoleAssignmentId $one.Id
}
