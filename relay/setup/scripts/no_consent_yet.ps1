if ($consents.Count -gt 0) {
  Write-Warning 'Consents for mail are there already: until the policy below has reached Graph, this app may send as everybody in the organisation.'
}
