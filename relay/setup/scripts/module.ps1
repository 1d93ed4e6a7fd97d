if (Get-InstalledModule -Name @NAME@ -ErrorAction SilentlyContinue) {
  Update-Module -Name @NAME@
} else {
  Install-Module -Name @NAME@ -Scope CurrentUser -Force
}
