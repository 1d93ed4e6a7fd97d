if (Get-ManagementRoleAssignment -Identity @NAME@ -ErrorAction SilentlyContinue) {
  Remove-ManagementRoleAssignment -Identity @NAME@ -Confirm:$false
}
