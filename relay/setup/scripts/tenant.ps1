if ($context.TenantId -ne $Tenant) {
  throw "You are signed in to the tenant $($context.TenantId), not to ${Tenant}: nothing was changed. Run Disconnect-MgGraph, and this again."
}
