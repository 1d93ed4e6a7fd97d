if (-not (Get-Note 'Tested')) {
  throw 'The restriction has not passed its tests yet: run part 2 first.'
}
