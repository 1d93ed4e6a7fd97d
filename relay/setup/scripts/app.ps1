$AppId = Get-Note 'AppId'
$SpId = Get-Note 'SpId'
if ((Get-Note 'Tenant') -ne $Tenant) {
  throw 'The app is not known yet: run part 1 first.'
}
