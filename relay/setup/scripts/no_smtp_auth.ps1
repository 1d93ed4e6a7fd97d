foreach ($mailbox in $Mailboxes) {
  $cas = Get-CASMailbox -Identity $mailbox
  if ("$($cas.SmtpClientAuthenticationDisabled)" -eq 'False') {
    Set-CASMailbox -Identity $mailbox -SmtpClientAuthenticationDisabled $null
  }
}
