$last = $app.PasswordCredentials | Where-Object { $_ } | Select-Object -Last 1
if ($last) {
  Write-Host "The app has a client secret, valid until $($last.EndDateTime)"
} else {
  Write-Warning 'The app has no client secret yet.'
}
