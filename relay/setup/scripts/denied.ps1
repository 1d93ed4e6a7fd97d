# It must exist, be hosted in Exchange Online and be ordinary: a missing mailbox or an administrator's is always refused
# and proves nothing. It needs no mail and no user.
$box = Get-TheMailbox $Denied
if (-not $box) {
  throw "There is no mailbox $Denied, which is to be refused. Name one that exists, is licensed and is nobody's with an administrator's role: --denied"
}
if ($wanted -contains "$($box.PrimarySmtpAddress)" -or $extra.PrimarySmtpAddress -contains "$($box.PrimarySmtpAddress)") {
  throw "$Denied is a member of $GroupAddress, so the app may use it: name another mailbox with --denied, or take it out of the group."
}
