$assignment = Get-TheAssignment @NAME@
if (-not $assignment) {
  $assignment = Invoke-Patiently { Set-Note 'Changed' (Get-Now); New-ManagementRoleAssignment -Name @NAME@ -App $SpId -Role @ROLE@ -CustomResourceScope @SCOPE@ }
}
if ("$($assignment.CustomResourceScope)" -ne @SCOPE@) {
  throw 'This role is assigned with another scope: remove it with Remove-ManagementRoleAssignment, and run this again.'
}
