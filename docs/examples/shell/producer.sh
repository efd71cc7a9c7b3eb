#!/usr/bin/env bash
# A producer in curl: enqueues each argument, and believes it only when the service says that it is committed.
#   docs/examples/shell/producer.sh "first message" "second message"
set -euo pipefail
url=${QUEUE_URL:-http://127.0.0.1:8080/queues/work}

for text in "$@"; do
  # One key for every try of this message: an answer that was lost costs nothing, for the second try is the same message.
  key=$(date +%s%N)-$RANDOM
  until answer=$(curl -sS --fail --max-time 30 -X POST "$url/messages" \
    -H 'content-type: text/plain' -H "idempotency-key: $key" --data-binary "$text"); do
    echo "not confirmed, trying again" >&2
    sleep 1
  done
  echo "enqueued $(sed -E 's/.*"id":"([0-9]+)".*/\1/' <<< "$answer")"
done
