if (Get-ManagementScope -Identity $ScopeName -ErrorAction SilentlyContinue) {
  Remove-ManagementScope -Identity $ScopeName -Confirm:$false
}
if (Get-ServicePrincipal -Identity $SpId -ErrorAction SilentlyContinue) {
  Remove-ServicePrincipal -Identity $SpId -Confirm:$false
}
