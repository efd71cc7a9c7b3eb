#!/usr/bin/env bash
# A worker in curl: one message at a time, the ack after the work. Kill it whenever you like: the message comes back.
#
#   docs/examples/shell/worker.sh
#
# QUEUE_URL names the queue, HOLDFAST_KEY is an API key where one is asked for, WORK_SECONDS says how
# long the work takes here. On SIGTERM or Ctrl-C it gives back what it holds, and the attempt does not count.
set -euo pipefail
url=${QUEUE_URL:-http://127.0.0.1:8080/queues/work}
answer=$(mktemp) headers=$(mktemp)
trap 'rm -f "$answer" "$headers"' EXIT
printf %s "${HOLDFAST_KEY:+authorization: Bearer $HOLDFAST_KEY}" > "$headers" # where no list of processes shows it

receipt= status=
post=(curl -sS --max-time 30 -H 'content-type: application/json' -H "@$headers")

# settle VERB JSON: says how the lease ended, and asks again while there is no answer; it is safe to say twice.
settle () {
  while :; do
    status=$("${post[@]}" "$url/$1" -d "$2" -o /dev/null -w '%{http_code}') || status=000
    case $status in
      200 | 409) return ;;
      000 | 429 | 5??) echo "$1: no answer, trying again" >&2; sleep 1 ;;
      *) echo "$1: refused with $status" >&2; exit 1 ;;
    esac
  done
}

stop () {
  trap '' TERM INT
  # Asked for, not remembered: the signal may come before the job's number has been noted.
  local started; started=$(jobs -p)
  if [ -n "$started" ]; then kill $started 2> /dev/null || true; wait; fi
  [ -z "$receipt" ] || "${post[@]}" "$url/release" -d "{\"receipt\":\"$receipt\"}" -o /dev/null || true
  exit 0
}
trap stop TERM INT

while :; do
  # What may take long runs in the background, so that a signal is heard at once.
  "${post[@]}" "$url/lease" -d '{"waitSeconds":20,"worker":"worker.sh"}' --fail > "$answer" &
  wait $! || { sleep 1; continue; }
  message=$(< "$answer")
  before=${message%%'"body'*} # id, receipt and attempt stand before the body, which may hold the same names
  receipt=$(sed -nE 's/.*"receipt":"([^"]+)".*/\1/p' <<< "$before")
  [ -n "$receipt" ] || continue
  id=$(sed -nE 's/.*"id":"([^"]+)".*/\1/p' <<< "$before")
  attempt=$(sed -nE 's/.*"attempt":([0-9]+).*/\1/p' <<< "$before")
  body=${message#*'"body'} body=${body#*:} body=${body%',"contentType":'*}
  echo "working $id attempt $attempt $body"

  # Your own program goes here, with the body on its standard input. It fails when it ends with anything but 0.
  sleep "${WORK_SECONDS:-1}" <<< "$body" &
  if wait $!; then
    verb=ack told="acked $id" settled="{\"receipt\":\"$receipt\"}"
  else
    told="failed $id" settled="{\"receipt\":\"$receipt\",\"reason\":\"exit code $?\"}" verb=fail
  fi
  settle "$verb" "$settled"
  [ "$status" = 200 ] || told="lost the lease of $id"
  receipt=
  echo "$told"
done
