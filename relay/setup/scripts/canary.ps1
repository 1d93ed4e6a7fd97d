if (-not (Get-EXOMailbox -Identity $Denied -ErrorAction SilentlyContinue)) {
  throw "There is no mailbox $Denied, which is to be refused. Name one that exists, is licensed and is nobody's with an administrator's role: --denied"
}
