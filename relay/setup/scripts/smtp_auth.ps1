# Large mail is submitted by SMTP with a token of the app (delivery.large_messages: smtp). The setting of a mailbox outweighs the
# organisation's, which stays as it is. With it whoever has the password of the mailbox may submit, too: block the sign-in of its account.
foreach ($mailbox in $Mailboxes) {
  $cas = Get-CASMailbox -Identity $mailbox
  if ("$($cas.SmtpClientAuthenticationDisabled)" -ne 'False') {
    Set-CASMailbox -Identity $mailbox -SmtpClientAuthenticationDisabled $false
  }
}
