$number = $PSVersionTable.PSVersion.Major * 100 + $PSVersionTable.PSVersion.Minor
if ($number -ne 501 -and $number -lt 706) {
  throw 'This needs Windows PowerShell 5.1, or PowerShell 7.6 or later (ExchangeOnlineManagement 3.10 does not run in older ones).'
}
