// Package holdfast is a client and a worker for Holdfast, an HTTP message queue on PostgreSQL.
//
//	client := &holdfast.Client{URL: "http://127.0.0.1:8080"}
//	_, err := client.Enqueue(ctx, "letters", holdfast.NewMessage{Body: letter})
//
//	worker := &holdfast.Worker{Client: client, Queue: "letters", Handler: deliver}
//	err = worker.Run(ctx) // until ctx is done
//
// A call that is refused, or gets no answer in time, returns an [*Error]. Calls that are safe to
// repeat are repeated, with an idempotency key where one is needed.
//
// Messages and answers are structs with the names of the contract. A field left at its zero value is
// left out of a request. Where the service takes zero for a value, the field is a pointer: see [Ptr].
// A setting that may be null is a [Nullable].
package holdfast
