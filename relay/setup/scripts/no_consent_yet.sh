if [ -n "$CONSENTS" ]; then
  echo 'WARNING: consents for mail are there already: until the policy below has reached Graph, this app may send as everybody in the organisation.' >&2
fi
