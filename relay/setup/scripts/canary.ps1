# It must exist, be hosted in Exchange Online and be ordinary: a missing mailbox or an administrator's is always refused
# and proves nothing. It needs no mail and no user.
if (-not (Get-EXOMailbox -Identity $Denied -ErrorAction SilentlyContinue)) {
  throw "There is no mailbox $Denied, which is to be refused. Name one that exists, is licensed and is nobody's with an administrator's role: --denied"
}
