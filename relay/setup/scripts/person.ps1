if ($context.Account -ne $Admin) {
  throw "You are signed in as $($context.Account), not as ${Admin}: nothing was changed. Run Disconnect-MgGraph, and this again."
}
