if ($consents.Count -gt 0) {
  throw 'This app has organisation-wide consents for mail in Entra. With them nothing is restricted: remove them, or migrate with: graphrelay setup --migrate'
}
