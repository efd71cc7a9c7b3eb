#!/usr/bin/env bash
# A worker in curl: one message at a time, the ack after the work. Kill it whenever you like: the message comes back.
#   docs/examples/shell/worker.sh
set -euo pipefail
url=${QUEUE_URL:-http://127.0.0.1:8080/queues/work}

post () { curl -sS --max-time 90 -X POST "$url/$1" -H 'content-type: application/json' -d "$2"; }
field () { sed -nE "s/.*\"$1\":\"?([^\",}]+).*/\1/p"; }

receipt= work=
give_back () {
  [ -z "$work" ] || kill "$work" || true
  [ -z "$receipt" ] || post release "{\"receipt\":\"$receipt\"}" > /dev/null
  exit 0
}
trap give_back TERM INT

while :; do
  message=$(post lease '{"waitSeconds":5,"worker":"worker.sh"}') || { sleep 1; continue; }
  receipt=$(field receipt <<< "$message")
  [ -n "$receipt" ] || continue
  id=$(field id <<< "$message")
  echo "working $id attempt $(field attempt <<< "$message") $(sed -nE 's/.*"body":(.*),"contentType".*/\1/p' <<< "$message")"
  sleep "${WORK_SECONDS:-1}" & # the work; in the background, so that a signal is heard at once
  work=$!
  if wait "$work"; then
    echo "$(post ack "{\"receipt\":\"$receipt\"}" | field outcome) $id"
  else
    post fail "{\"receipt\":\"$receipt\",\"reason\":\"exit code $?\"}" > /dev/null
  fi
  receipt= work=
done
