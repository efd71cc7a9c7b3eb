package holdfast

import (
	"context"
	"time"
)

// checksPerLease is how often in a lease the worker looks for leases that have used up a third. At the
// last check it gives up those that it could not extend.
const checksPerLease = 6

// end is why a handler was told to stop.
type end int

const (
	endNone end = iota
	endLeaseLost
	endGone
	endUnconfirmed
	endStopped
)

// held is a message in the hands of a handler, or one that waits for its turn.
type held struct {
	job *Job
	// ctx is the handler's context.
	ctx context.Context
	// stop ends the handler's context.
	stop context.CancelFunc
	// since is when the service last confirmed the lease. The lock of the run guards it, and end.
	since time.Time
	end   end
	// abandoned is closed to go on without the handler.
	abandoned chan struct{}
}

// interrupt tells the handler to stop.
func (r *run) interrupt(h *held, why end) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h.end == endNone {
		h.end = why
		h.stop()
	}
}

func (r *run) endOf(h *held) end {
	r.mu.Lock()
	defer r.mu.Unlock()
	return h.end
}

// drop keeps the lease no longer.
func (r *run) drop(h *held) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.held, h)
}

func (r *run) all() []*held {
	return r.those(func(*held) bool { return true })
}

func (r *run) those(chosen func(*held) bool) []*held {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []*held
	for h := range r.held {
		if chosen(h) {
			found = append(found, h)
		}
	}
	return found
}

// keep extends leases until the worker gives up.
func (r *run) keep() {
	defer r.keeping.Done()
	ticker := time.NewTicker(r.LeaseTime / checksPerLease)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			r.extend()
		case <-r.settling.Done():
			return
		}
	}
}

// extend extends the leases that have used up a third of their time, and tells handlers whose lease is
// lost.
func (r *run) extend() {
	sent := time.Now()
	due := r.those(func(h *held) bool { return h.end == endNone && sent.Sub(h.since) >= r.LeaseTime/3 })
	if len(due) == 0 {
		return
	}
	extensions := make([]Extension, len(due))
	for i, h := range due {
		extensions[i] = Extension{Receipt: h.job.Receipt, LeaseSeconds: r.LeaseTime.Seconds()}
	}
	ctx, cancel := context.WithTimeout(r.settling, r.LeaseTime/checksPerLease)
	defer cancel()
	answers, err := r.client.ExtendMany(ctx, r.Queue, extensions)
	if err != nil {
		r.report(err)
		r.interruptLate(due)
		return
	}
	for i, outcome := range outcomesOf(answers, len(due)) {
		switch outcome {
		case OutcomeExtended:
			r.mu.Lock()
			due[i].since = sent
			r.mu.Unlock()
		case OutcomeGone:
			r.interrupt(due[i], endGone)
		default:
			r.interrupt(due[i], endLeaseLost)
		}
	}
}

func (r *run) interruptLate(due []*held) {
	late := r.LeaseTime - r.LeaseTime/checksPerLease
	for _, h := range due {
		r.mu.Lock()
		isLate := time.Since(h.since) >= late
		r.mu.Unlock()
		if isLate {
			r.interrupt(h, endUnconfirmed)
		}
	}
}
