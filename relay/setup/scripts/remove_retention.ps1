if (Get-RetentionPolicy -Identity $RetentionName -ErrorAction SilentlyContinue | Where-Object { $_.Name -eq $RetentionName }) {
  foreach ($box in @(Get-Mailbox -ResultSize Unlimited | Where-Object { "$($_.RetentionPolicy)" -eq $RetentionName })) {
    Set-Mailbox -Identity $box.PrimarySmtpAddress -RetentionPolicy 'Default MRM Policy' -Force
  }
  Remove-RetentionPolicy -Identity $RetentionName -Confirm:$false
}
if (Get-RetentionPolicyTag -Identity $RetentionName -ErrorAction SilentlyContinue | Where-Object { $_.Name -eq $RetentionName }) {
  Remove-RetentionPolicyTag -Identity $RetentionName -Confirm:$false
}
