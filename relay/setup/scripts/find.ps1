$app = Get-TheApp
if (-not $app) {
  throw "There is no app registration named $AppName in this tenant."
}
$AppId = $app.AppId
$SpId = (Get-MgServicePrincipal -Filter "appId eq '$AppId'").Id
