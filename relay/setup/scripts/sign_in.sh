az login --tenant "$TENANT" --allow-no-subscriptions --output none
SIGNED_IN=yes
