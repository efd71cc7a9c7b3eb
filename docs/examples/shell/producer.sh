#!/usr/bin/env bash
# A producer in curl: enqueues each argument, and believes it only when the service says that it is committed.
#
#   docs/examples/shell/producer.sh "first message" "second message"
#
# QUEUE_URL names the queue (default http://127.0.0.1:8080/queues/work); the first message makes it. HOLDFAST_KEY is an
# API key where one is asked for.
set -euo pipefail
url=${QUEUE_URL:-http://127.0.0.1:8080/queues/work}

for text in "$@"; do
  # One key for every try of this message: an answer that was lost costs nothing, for the second try is the same message.
  key=$(od -An -N16 -tx1 /dev/urandom)
  key=${key//[[:space:]]/}
  while :; do
    answer=$(printf %s "$text" | curl -sS --max-time 30 -w '\n%{http_code}' "$url/messages" \
      -H 'content-type: text/plain' -H @<(printf %s "${HOLDFAST_KEY:+authorization: Bearer $HOLDFAST_KEY}") -H "idempotency-key: $key" --data-binary @-) || answer=$'\n000'
    case ${answer##*$'\n'} in
      200 | 201) break ;; # committed; 200: by an earlier try
      000 | 429 | 5??) echo "not confirmed, trying again" >&2; sleep 1 ;;
      *) printf 'refused: %s\n' "$answer" >&2; exit 1 ;;
    esac
  done
  echo "enqueued $(sed -nE 's/.*"id":"([^"]+)".*/\1/p' <<< "$answer")"
done
