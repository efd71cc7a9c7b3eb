#!/usr/bin/env bash
# A worker in curl alone. The answer is the message's own bytes, and the rest stands in its headers,
# so no JSON has to be read. It works on one message at a time, and acks it with the next lease.
# You can kill it at any time: the message comes back.
#
#   docs/examples/shell/worker.sh
#
# QUEUE_URL      the queue (default http://127.0.0.1:8080/queues/work)
# HOLDFAST_KEY   an API key, where the service asks for one
# WORK_SECONDS   how long the work takes in this example (default 1)
# LEASE_SECONDS  how long a lease lasts (default 30)
#
# On SIGTERM or Ctrl-C it gives back the message it works on, and the attempt does not count.
set -euo pipefail
url=${QUEUE_URL:-http://127.0.0.1:8080/queues/work}
lease_seconds=${LEASE_SECONDS:-30}

files=$(mktemp -d)
# Only this shell removes them, not a copy of it that a signal ends before it runs its program.
trap '[ "$BASHPID" != $$ ] || rm -rf "$files"' EXIT
# The API key goes into a file, so that no list of processes shows it.
printf %s "${HOLDFAST_KEY:+authorization: Bearer $HOLDFAST_KEY}" > "$files/key"

receipt='' ack='' acked_id='' status=''
post=(curl -sS --max-time 30 -X POST -H "@$files/key")
post_json=("${post[@]}" -H 'content-type: application/json' -o /dev/null)

new_key () { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }

# header NAME: prints a header of the last lease.
header () { tr -d '\r' < "$files/headers" | grep -i "^$1: " | cut -d ' ' -f 2- || true; }

# settle VERB JSON: asks until there is an answer, which is safe, and leaves it in $status.
settle () {
  while :; do
    status=$("${post_json[@]}" "$url/$1" -d "$2" -w '%{http_code}') || status=000
    case $status in
      200 | 409) return ;;
      000 | 429 | 5??) echo "$1: no answer, trying again" >&2; sleep "1.$RANDOM" ;;
      *) echo "$1: refused with $status" >&2; exit 1 ;;
    esac
  done
}

stop () {
  [ "$BASHPID" = $$ ] || exit 0
  trap '' TERM INT
  # A signal may come before the number of a job was stored, so ask the shell for its jobs.
  local started; started=$(jobs -p)
  if [ -n "$started" ]; then kill $started 2> /dev/null || true; wait; fi
  if [ -n "$ack" ]; then "${post_json[@]}" "$url/ack" -d "{\"receipt\":\"$ack\"}" || true; fi
  if [ -n "$receipt" ]; then "${post_json[@]}" "$url/release" -d "{\"receipt\":\"$receipt\"}" || true; fi
  exit 0
}
trap stop TERM INT

# keep PID: extends the lease whenever a third of it is over. Ends the work when the lease is lost.
keep () {
  trap - TERM INT
  while sleep $(((lease_seconds + 2) / 3)) > /dev/null 2>&1; do
    settle extend "{\"receipt\":\"$receipt\",\"leaseSeconds\":$lease_seconds}"
    if [ "$status" = 409 ]; then kill "$1" 2> /dev/null || true; return; fi
  done
}

key=$(new_key)
while :; do
  # Every try has the same key, so a message whose answer was lost comes with the next try. A call
  # with an ack does not wait. Long commands run in the background, so that signals are heard at
  # once.
  query="worker=worker.sh&leaseSeconds=$lease_seconds&idempotencyKey=$key"
  if [ -n "$ack" ]; then query+="&ack=$ack"; else query+='&waitSeconds=20'; fi
  "${post[@]}" "$url/lease?$query" -H 'accept: application/octet-stream' \
    -D "$files/headers" -o "$files/body" -w '%{http_code}' > "$files/status" &
  wait $! || echo 000 > "$files/status"
  status=$(< "$files/status")
  case $status in
    200 | 204) key=$(new_key) ;;
    *) echo "lease: answered with $status, trying again" >&2; sleep "1.$RANDOM"; continue ;;
  esac
  if [ -n "$ack" ]; then
    if [ "$(header holdfast-ack-outcome)" = leaseLost ]; then
      echo "lost the lease of $acked_id"
    else
      echo "acked $acked_id"
    fi
    ack=''
  fi
  [ "$status" = 200 ] || continue
  receipt=$(header holdfast-receipt)
  id=$(header holdfast-id)
  printf 'working %s attempt %s ' "$id" "$(header holdfast-attempt)"; cat "$files/body"; echo

  # Put your own program here. It gets the body on its standard input, and an exit code other than 0
  # means that the work has failed.
  sleep "${WORK_SECONDS:-1}" < "$files/body" &
  work=$!
  keep $work &
  keeper=$!
  failed=0
  wait $work || failed=$?
  kill $keeper 2> /dev/null || true
  wait $keeper || true
  if [ "$failed" = 0 ]; then
    ack=$receipt acked_id=$id
  else
    settle fail "{\"receipt\":\"$receipt\",\"reason\":\"exit code $failed\"}"
    if [ "$status" = 200 ]; then echo "failed $id"; else echo "lost the lease of $id"; fi
  fi
  receipt=''
done
