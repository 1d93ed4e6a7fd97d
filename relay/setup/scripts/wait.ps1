if (-not $SkipWait) {
  Write-Host 'Waiting for @MINUTES@ minutes ...'
  Start-Sleep -Seconds @SECONDS@
}
