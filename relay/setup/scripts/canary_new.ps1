# It must exist, be hosted in Exchange Online and be ordinary: a missing mailbox or an administrator's is always refused
# and proves nothing. It needs no mail and no user.
# None is configured, so the script creates a shared mailbox: it is hosted and reachable like a licensed one, and costs nothing.
# Or name an ordinary licensed mailbox with --denied.
if (-not (Get-EXOMailbox -Identity $Denied -ErrorAction SilentlyContinue)) {
  $null = New-Mailbox -Shared -Name ($AppName + ' canary') -PrimarySmtpAddress $Denied
}
