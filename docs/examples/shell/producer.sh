#!/usr/bin/env bash
# A producer in curl. It enqueues each argument, and reports it once the service has confirmed that
# it is committed.
#
#   docs/examples/shell/producer.sh "first message" "second message"
#
# QUEUE_URL     the queue (default http://127.0.0.1:8080/queues/work); the first message makes it
# HOLDFAST_KEY  an API key, where the service asks for one
set -euo pipefail
url=${QUEUE_URL:-http://127.0.0.1:8080/queues/work}

for text in "$@"; do
  # Every try of this message has the same key. When an answer is lost, the next try is the same
  # message, not a second one.
  key=$(od -An -N16 -tx1 /dev/urandom)
  key=${key//[[:space:]]/}
  while :; do
    # The API key is read from a file, so that no list of processes shows it.
    answer=$(
      printf %s "$text" |
        curl -sS --max-time 30 -w '\n%{http_code}' "$url/messages" \
          -H 'content-type: text/plain' \
          -H "idempotency-key: $key" \
          -H @<(printf %s "${HOLDFAST_KEY:+authorization: Bearer $HOLDFAST_KEY}") \
          --data-binary @-
    ) || answer=$'\n000'
    case ${answer##*$'\n'} in
      201) break ;; # committed
      200) break ;; # committed by an earlier try
      000 | 429 | 5??) echo "not confirmed, trying again" >&2; sleep 1 ;;
      *) printf 'refused: %s\n' "$answer" >&2; exit 1 ;;
    esac
  done
  echo "enqueued $(sed -nE 's/.*"id":"([^"]+)".*/\1/p' <<< "$answer")"
done
