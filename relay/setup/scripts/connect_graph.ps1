try {
  @CONNECT@
} catch {
  Write-Warning "The sign-in window failed ($_); signing in with a code in the browser instead."
  @CONNECT@ -UseDeviceCode
}
$context = Get-MgContext
Write-Host "Signed in to Microsoft Graph as $($context.Account)"
