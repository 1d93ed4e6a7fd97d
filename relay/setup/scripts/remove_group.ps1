if (Get-DistributionGroup -Identity $GroupAddress -ErrorAction SilentlyContinue) {
  Remove-DistributionGroup -Identity $GroupAddress -Confirm:$false
}
