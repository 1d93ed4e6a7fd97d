foreach ($one in $consents) {
  Remove-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $SpId -AppRoleAssignmentId $one.Id
}
