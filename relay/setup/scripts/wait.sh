if [ -z "${SKIP_WAIT:-}" ]; then
  echo 'Waiting for @MINUTES@ minutes ...'
  sleep @SECONDS@
fi
