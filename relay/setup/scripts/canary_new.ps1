if (-not (Get-EXOMailbox -Identity $Denied -ErrorAction SilentlyContinue)) {
  $null = New-Mailbox -Shared -Name ($AppName + ' canary') -PrimarySmtpAddress $Denied
}
