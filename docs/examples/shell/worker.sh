#!/usr/bin/env bash
# A worker in curl alone: the message's own bytes come as the answer, the rest in its headers, so no JSON is read. One
# message at a time, the ack with the next lease. Kill it whenever you like: the message comes back.
#
#   docs/examples/shell/worker.sh
#
# QUEUE_URL names the queue, HOLDFAST_KEY is an API key where one is asked for, WORK_SECONDS says how
# long the work takes here, LEASE_SECONDS how long a lease lasts. On SIGTERM or Ctrl-C it gives back what it holds, and the attempt does not count.
set -euo pipefail
url=${QUEUE_URL:-http://127.0.0.1:8080/queues/work}
lease_seconds=${LEASE_SECONDS:-30}
files=$(mktemp -d)
# Not in a copy of this shell, which a signal may meet before it has become another program.
trap '[ "$BASHPID" != $$ ] || rm -rf "$files"' EXIT
printf %s "${HOLDFAST_KEY:+authorization: Bearer $HOLDFAST_KEY}" > "$files/key" # where no list of processes shows it

receipt='' ack='' told='' status=''
post=(curl -sS --max-time 30 -X POST -H "@$files/key")

header () { tr -d '\r' < "$files/headers" | grep -i "^$1: " | cut -d ' ' -f 2- || true; }

# settle VERB JSON: says how the lease goes on, and asks again while there is no answer; it is safe to say twice.
settle () {
  while :; do
    status=$("${post[@]}" "$url/$1" -H 'content-type: application/json' -d "$2" -o /dev/null -w '%{http_code}') || status=000
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
  # Asked for, not remembered: the signal may come before the job's number has been noted.
  local started; started=$(jobs -p)
  if [ -n "$started" ]; then kill $started 2> /dev/null || true; wait; fi
  if [ -n "$ack" ]; then "${post[@]}" "$url/ack" -H 'content-type: application/json' -d "{\"receipt\":\"$ack\"}" -o /dev/null || true; fi
  if [ -n "$receipt" ]; then "${post[@]}" "$url/release" -H 'content-type: application/json' -d "{\"receipt\":\"$receipt\"}" -o /dev/null || true; fi
  exit 0
}
trap stop TERM INT

# Runs beside the work: a lease that is a third over is made to last. Ends when the lease is lost, and the work with it.
keep () {
  trap - TERM INT
  while sleep $(((lease_seconds + 2) / 3)) > /dev/null 2>&1; do
    settle extend "{\"receipt\":\"$receipt\",\"leaseSeconds\":$lease_seconds}"
    if [ "$status" = 409 ]; then kill "$1" 2> /dev/null || true; return; fi
  done
}

key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
while :; do
  # One key for every try, so that a message whose answer was lost comes with the next. A call with an ack does not wait.
  # What may take long runs in the background, so that a signal is heard at once.
  query="worker=worker.sh&leaseSeconds=$lease_seconds&idempotencyKey=$key"
  if [ -n "$ack" ]; then query+="&ack=$ack"; else query+='&waitSeconds=20'; fi
  "${post[@]}" "$url/lease?$query" -H 'accept: application/octet-stream' -D "$files/headers" -o "$files/body" -w '%{http_code}' > "$files/status" &
  wait $! || echo 000 > "$files/status"
  status=$(< "$files/status")
  case $status in
    200 | 204) key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n') ;;
    *) echo "lease: answered with $status, trying again" >&2; sleep "1.$RANDOM"; continue ;;
  esac
  if [ -n "$ack" ]; then
    if [ "$(header holdfast-ack-outcome)" = leaseLost ]; then echo "lost the lease of $told"; else echo "acked $told"; fi
    ack=''
  fi
  [ "$status" = 200 ] || continue
  receipt=$(header holdfast-receipt)
  id=$(header holdfast-id)
  printf 'working %s attempt %s ' "$id" "$(header holdfast-attempt)"; cat "$files/body"; echo

  # Your own program goes here, with the body on its standard input. It fails when it ends with anything but 0.
  sleep "${WORK_SECONDS:-1}" < "$files/body" &
  work=$!
  keep $work &
  keeper=$!
  failed=0
  wait $work || failed=$?
  kill $keeper 2> /dev/null || true
  wait $keeper || true
  if [ "$failed" = 0 ]; then
    ack=$receipt told=$id
  else
    settle fail "{\"receipt\":\"$receipt\",\"reason\":\"exit code $failed\"}"
    if [ "$status" = 200 ]; then echo "failed $id"; else echo "lost the lease of $id"; fi
  fi
  receipt=''
done
