package holdfast

import (
	"sync"
	"time"
)

// outbox sends items in lists, one call at a time. Items that come meanwhile go with the next call.
type outbox[T any] struct {
	// send returns an outcome for each item, in order. It never fails.
	send func(items []T) []OutcomeName
	// delay is how long an item waits for another call to take it along.
	delay time.Duration

	mu      sync.Mutex
	waiting []entry[T]
	sending sync.Mutex
}

type entry[T any] struct {
	item T
	// outcome takes one value.
	outcome chan OutcomeName
}

func (o *outbox[T]) add(item T) entry[T] {
	added := entry[T]{item, make(chan OutcomeName, 1)}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(o.waiting, added)
	return added
}

// wait returns the outcome of an item. It sends the item if no other call takes it along.
func (o *outbox[T]) wait(added entry[T]) OutcomeName {
	timer := time.NewTimer(o.delay)
	defer timer.Stop()
	select {
	case outcome := <-added.outcome:
		return outcome
	case <-timer.C:
		o.flush()
		return <-added.outcome
	}
}

// take hands items to another call, which resolves each of them or puts them back.
func (o *outbox[T]) take() []entry[T] {
	o.mu.Lock()
	defer o.mu.Unlock()
	count := len(o.waiting)
	if count > listMax {
		count = listMax
	}
	taken := append([]entry[T]{}, o.waiting[:count]...)
	o.waiting = o.waiting[count:]
	return taken
}

func (o *outbox[T]) putBack(entries []entry[T]) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.waiting = append(append([]entry[T]{}, entries...), o.waiting...)
}

// flush sends all that wait.
func (o *outbox[T]) flush() {
	o.sending.Lock()
	defer o.sending.Unlock()
	for entries := o.take(); len(entries) > 0; entries = o.take() {
		resolve(entries, o.send(itemsOf(entries)))
	}
}

func itemsOf[T any](entries []entry[T]) []T {
	items := make([]T, len(entries))
	for i, each := range entries {
		items[i] = each.item
	}
	return items
}

func resolve[T any](entries []entry[T], outcomes []OutcomeName) {
	for i, each := range entries {
		each.outcome <- outcomes[i]
	}
}
