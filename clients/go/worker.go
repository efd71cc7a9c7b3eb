package holdfast

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

const (
	// ackDelay is how long an ack waits for the next lease to take it along.
	ackDelay = 20 * time.Millisecond
	// handlersReturn is how long handlers that were told to stop have to return.
	handlersReturn = time.Second
	// lastCalls is how long the last calls of a stopped worker may take.
	lastCalls = 5 * time.Second
)

// Worker works on the messages of a queue. Set its fields before Run.
type Worker struct {
	// Client calls the service. The worker repeats calls by itself, until it is answered.
	Client *Client
	// Queue is the queue to lease from. It need not be there yet.
	Queue string
	// Handler works on each message.
	Handler Handler
	// Concurrency is the most messages in hand, 1 to 1000. Default 1. Of an ordered queue, the worker
	// works on the messages of a group one after another, in their order.
	Concurrency int
	// LeaseTime is how long a lease lasts, 100 ms to 12 h, instead of the queue's time. The worker
	// extends the lease while the handler works. Default 30 s.
	LeaseTime time.Duration
	// Wait is how long a call waits for messages, 1 s to 60 s. Another call follows. Default 20 s.
	Wait time.Duration
	// Grace is how long handlers may still take when the worker is stopped, up to 12 h. Default 10 s.
	// Negative: they are told to stop at once.
	Grace time.Duration
	// Name is the worker in the history of messages. Default: the names of host and process.
	Name string
	// OnSettled hears what became of each message. The worker calls neither OnSettled nor OnError again
	// before it has returned.
	OnSettled func(Settled)
	// OnError hears of errors, for example that the service does not answer. The worker goes on by
	// itself. Default: log.Printf.
	OnError func(error)
}

// Run works until ctx is done. Then it leases no more, and waits up to Grace for handlers. It tells
// those that still work to stop, and gives their messages back, so that the attempt does not count.
// That takes at most 11 s longer than Grace. For SIGTERM, use a ctx of [signal.NotifyContext].
//
// It returns an error for a field that cannot be used, and nil when it was stopped. It never ends by
// itself.
func (w *Worker) Run(ctx context.Context) error {
	r, err := w.prepare(ctx)
	if err != nil {
		return err
	}
	r.keeping.Add(1)
	go r.keep()
	for ctx.Err() == nil {
		// Handlers that end together share the next lease.
		runtime.Gosched()
		if free := r.freeHands(); free > 0 {
			r.lease(ctx, free)
			continue
		}
		select {
		case <-r.freed:
		case <-ctx.Done():
		}
	}
	r.finish()
	r.keeping.Wait()
	return nil
}

func (w Worker) prepare(ctx context.Context) (*run, error) {
	switch {
	case w.Client == nil:
		return nil, errors.New("holdfast: a worker needs a Client")
	case w.Queue == "":
		return nil, errors.New("holdfast: a worker needs a Queue")
	case w.Handler == nil:
		return nil, errors.New("holdfast: a worker needs a Handler")
	}
	if _, err := w.Client.addressOf(request{}); err != nil {
		return nil, err
	}
	if w.Concurrency == 0 {
		w.Concurrency = 1
	}
	if w.Concurrency < 1 || w.Concurrency > listMax {
		const text = "holdfast: Concurrency is %d. Give a number from 1 to %d"
		return nil, fmt.Errorf(text, w.Concurrency, listMax)
	}
	w.LeaseTime = orDefault(w.LeaseTime, 30*time.Second)
	w.Wait = orDefault(w.Wait, 20*time.Second)
	w.Grace = orDefault(w.Grace, 10*time.Second)
	leaseTimeMax := seconds(leaseSecondsMax)
	if err := checkRange("LeaseTime", w.LeaseTime, 100*time.Millisecond, leaseTimeMax); err != nil {
		return nil, err
	}
	if err := checkRange("Wait", w.Wait, time.Second, seconds(waitSecondsMax)); err != nil {
		return nil, err
	}
	if w.Grace > leaseTimeMax {
		return nil, fmt.Errorf("holdfast: Grace is %v. Give a time up to %v", w.Grace, leaseTimeMax)
	}
	if w.Client.Timeout < 0 {
		const text = "holdfast: Timeout of the Client is %v. Give a time above 0, or none for %v"
		return nil, fmt.Errorf(text, w.Client.Timeout, timeoutDefault)
	}
	if w.Name == "" {
		host, _ := os.Hostname()
		w.Name = fmt.Sprintf("%s:%d", host, os.Getpid())
	}
	if w.OnSettled == nil {
		w.OnSettled = func(Settled) {}
	}
	if w.OnError == nil {
		w.OnError = func(err error) {
			var failed *Error
			retries := ""
			if errors.As(err, &failed) && failed.Passes() {
				retries = " The worker goes on trying."
			}
			log.Printf("holdfast worker: %v%s", err, retries)
		}
	}
	return newRun(ctx, w), nil
}

func checkRange(name string, given, min, max time.Duration) error {
	if given < min || given > max {
		return fmt.Errorf("holdfast: %s is %v. Give a time from %v to %v", name, given, min, max)
	}
	return nil
}

// run is a worker at work.
type run struct {
	Worker
	client Client
	// stopping is the context of Run.
	stopping context.Context
	// base has the values of the caller's context, and is never done.
	base context.Context
	// settling is done once the worker repeats nothing any more.
	settling context.Context
	giveUp   context.CancelFunc
	acks     *outbox[string]
	failures *outbox[Failure]
	releases *outbox[string]
	freed    chan struct{}
	// working counts messages that are not settled, and keeping what extends their leases.
	working, keeping sync.WaitGroup
	// telling is for the functions of the caller.
	telling sync.Mutex

	mu   sync.Mutex
	free int
	held map[*held]struct{}
}

func newRun(ctx context.Context, w Worker) *run {
	r := &run{
		Worker:   w,
		client:   *w.Client,
		stopping: ctx,
		base:     undone{ctx},
		freed:    make(chan struct{}, 1),
		free:     w.Concurrency,
		held:     map[*held]struct{}{},
	}
	r.client.RetryFor = -1
	r.settling, r.giveUp = context.WithCancel(r.base)
	r.acks = &outbox[string]{delay: ackDelay, send: func(receipts []string) []OutcomeName {
		return r.send(len(receipts), func(ctx context.Context) ([]Outcome, error) {
			return r.client.settleMany(ctx, r.Queue, "ack", "receipts", receipts)
		})
	}}
	r.failures = &outbox[Failure]{send: func(failures []Failure) []OutcomeName {
		return r.send(len(failures), func(ctx context.Context) ([]Outcome, error) {
			return r.client.FailMany(ctx, r.Queue, failures)
		})
	}}
	r.releases = &outbox[string]{send: func(receipts []string) []OutcomeName {
		return r.send(len(receipts), func(ctx context.Context) ([]Outcome, error) {
			return r.client.ReleaseMany(ctx, r.Queue, receipts)
		})
	}}
	return r
}

// undone is a context with the values of another, which is never done. Go 1.21 has it as
// context.WithoutCancel.
type undone struct{ context.Context }

func (undone) Deadline() (time.Time, bool) { return time.Time{}, false }
func (undone) Done() <-chan struct{}       { return nil }
func (undone) Err() error                  { return nil }

func (r *run) report(err error) {
	r.telling.Lock()
	defer r.telling.Unlock()
	if thrown := guarded(func() { r.OnError(err) }); thrown != nil {
		log.Printf("holdfast worker: OnError: %v, when told: %v", thrown, err)
	}
}

func (r *run) tell(settled Settled) {
	r.telling.Lock()
	thrown := guarded(func() { r.OnSettled(settled) })
	r.telling.Unlock()
	if thrown != nil {
		r.report(fmt.Errorf("OnSettled: %w", thrown))
	}
}

// guarded calls what the caller of the package wrote, and turns a panic into an error.
func guarded(call func()) (err error) {
	defer func() {
		if thrown := recover(); thrown != nil {
			err = fmt.Errorf("a panic: %v", thrown)
		}
	}()
	call()
	return nil
}

func (r *run) freeHands() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.free
}

// addFree says that one more message may be leased.
func (r *run) addFree() {
	r.mu.Lock()
	r.free++
	r.mu.Unlock()
	select {
	case r.freed <- struct{}{}:
	default: // the loop has not seen the one before
	}
}

// lease acks what is done and leases as many messages as hands are free. It repeats the call.
func (r *run) lease(ctx context.Context, free int) {
	acks := r.acks.take()
	// With the same key, a repeated call brings the messages of the answer that was lost. A call with
	// acks does not wait, so that their outcomes are known at once.
	request := LeaseRequest{
		Max:            free,
		WaitSeconds:    Ptr(r.Wait.Seconds()),
		LeaseSeconds:   r.LeaseTime.Seconds(),
		Worker:         r.Name,
		IdempotencyKey: keyOr(""),
	}
	for _, each := range acks {
		request.Ack = append(request.Ack, Ack{Receipt: each.item})
		request.WaitSeconds = Ptr(0.0)
	}
	for tries := 1; ; tries++ {
		leased, err := r.client.Lease(ctx, r.Queue, request)
		if err == nil {
			resolve(acks, outcomesOf(leased.Outcomes, len(acks)))
			since := time.Now()
			if tries > 1 {
				since = since.Add(-r.LeaseTime / 2) // the leases may be half over
			}
			for _, line := range linesOf(leased) {
				r.start(line, since)
			}
			if tries > 1 {
				r.keeping.Add(1)
				go func() {
					defer r.keeping.Done()
					r.extend()
				}()
			}
			return
		}
		if ctx.Err() != nil {
			r.acks.putBack(acks)
			go r.acks.flush()
			r.releaseUnseen(request)
			return
		}
		r.report(err)
		var failed *Error
		if len(acks) > 0 && !(errors.As(err, &failed) && failed.Passes()) {
			// The lease may be refused for long, so the acks go in a call of their own.
			go func() { resolve(acks, r.acks.send(itemsOf(acks))) }()
			return
		}
		sleep(ctx, pauseAfter(tries, err))
	}
}

// releaseUnseen is for a call that was given up. Its answer may have been on its way, with messages.
// The same key brings them again.
func (r *run) releaseUnseen(request LeaseRequest) {
	ctx, cancel := context.WithTimeout(r.settling, lastCalls)
	defer cancel()
	request.Max, request.WaitSeconds, request.Ack = 1, Ptr(0.0), nil
	leased, err := r.client.Lease(ctx, r.Queue, request)
	if err == nil && len(leased.Messages) > 0 {
		receipts := make([]string, len(leased.Messages))
		for i, message := range leased.Messages {
			receipts[i] = message.Receipt
		}
		_, err = r.client.ReleaseMany(ctx, r.Queue, receipts)
	}
	if err != nil && CodeOf(err) != CodeQueueNotFound {
		r.report(err)
	}
}

// start has the handler work on a line of messages, one after another.
func (r *run) start(messages []LeasedMessage, since time.Time) {
	line := make([]*held, len(messages))
	r.mu.Lock()
	r.free -= len(line)
	for i, message := range messages {
		line[i] = &held{
			job:       &Job{LeasedMessage: message},
			since:     since,
			abandoned: make(chan struct{}),
		}
		line[i].ctx, line[i].stop = context.WithCancel(r.base)
		r.held[line[i]] = struct{}{}
	}
	r.mu.Unlock()
	r.working.Add(1)
	go func() {
		defer r.working.Done()
		r.workThrough(line)
		for _, h := range line {
			h.stop()
		}
	}()
}

// workThrough works on messages one after another. If one stays in the queue, none of those after it
// may go.
func (r *run) workThrough(line []*held) {
	for i, h := range line {
		if r.endOf(h) != endNone {
			r.giveBack(line[i:])
			return
		}
		next := line[i+1:]
		outcome := r.work(h, len(next) > 0)
		if !letsNextGo(outcome) || r.stopping.Err() != nil {
			r.giveBack(next)
			return
		}
	}
}

// work has the handler work on a message, and settles it.
func (r *run) work(h *held, hurry bool) OutcomeName {
	defer h.stop()
	returned := make(chan error, 1)
	go func() {
		err := errors.New("the handler ended its goroutine")
		defer func() { returned <- err }()
		err = r.handle(h.ctx, h.job)
	}()
	var err error
	select {
	case err = <-returned:
	case <-h.abandoned:
		err = errAbandoned
	}
	message := h.job.LeasedMessage
	outcome := r.settle(h, err, hurry)
	r.drop(h)
	r.tell(Settled{message, outcome, err})
	return outcome
}

// giveBack releases messages that no handler has seen.
func (r *run) giveBack(line []*held) {
	released := make([]entry[string], len(line))
	for i, h := range line {
		r.drop(h)
		released[i] = r.releases.add(h.job.Receipt)
	}
	for i, h := range line {
		outcome := r.releases.wait(released[i])
		r.addFree()
		r.tell(Settled{Message: h.job.LeasedMessage, Outcome: outcome})
	}
}

var errAbandoned = errors.New("the handler did not return when the worker stopped")

// handle turns a panic into an error.
func (r *run) handle(ctx context.Context, job *Job) (err error) {
	defer func() {
		if thrown := recover(); thrown != nil {
			err = fmt.Errorf("the handler panicked: %v", thrown)
			r.report(fmt.Errorf("%w\n%s", err, debug.Stack()))
		}
	}()
	return r.Handler(ctx, job)
}

// settle hurries with an ack if another message waits for its outcome.
func (r *run) settle(h *held, err error, hurry bool) OutcomeName {
	end := r.endOf(h)
	receipt := h.job.Receipt
	if err == nil && end != endLeaseLost && end != endGone {
		if h.job.Done.Result == nil && len(h.job.Done.Then) == 0 {
			r.drop(h)
			acked := r.acks.add(receipt)
			r.addFree() // before the answer, because the next lease acks before it takes
			if hurry {
				r.acks.flush()
			}
			return r.acks.wait(acked)
		}
		// An ack that enqueues may have to be repeated for long, while the lease must last.
		defer r.addFree()
		return r.complete(receipt, h.job.Done)
	}
	r.drop(h)
	defer r.addFree()
	switch end {
	case endStopped:
		return r.releases.wait(r.releases.add(receipt))
	case endGone:
		return OutcomeGone
	case endLeaseLost, endUnconfirmed:
		return OutcomeLeaseLost
	}
	return r.failures.wait(r.failures.add(failureOf(receipt, err)))
}

// complete acks with what a handler said, in a call of its own.
func (r *run) complete(receipt string, done Done) OutcomeName {
	acks := []Ack{{Receipt: receipt, Result: done.Result, Then: done.Then}}
	var outcomes []OutcomeName
	var err error
	thrown := guarded(func() { // a MarshalJSON may panic
		outcomes, err = r.repeat(1, func(ctx context.Context) ([]Outcome, error) {
			return r.client.AckMany(ctx, r.Queue, acks)
		})
	})
	if thrown != nil {
		err = fmt.Errorf("Done cannot be encoded as JSON: %w", thrown)
	}
	if err == nil {
		return outcomes[0]
	}
	r.report(err)
	return r.failures.wait(r.failures.add(failureOf(receipt, err)))
}

// send repeats a call until it is answered. What is refused for good stays unsettled.
func (r *run) send(count int, call func(context.Context) ([]Outcome, error)) []OutcomeName {
	outcomes, err := r.repeat(count, call)
	if err != nil {
		r.report(err)
		return outcomesOf(nil, count)
	}
	return outcomes
}

// repeat repeats a call until it is answered, or the worker gives up. It returns an error that refuses
// the call for good.
func (r *run) repeat(
	count int, call func(context.Context) ([]Outcome, error),
) ([]OutcomeName, error) {
	for tries := 1; ; tries++ {
		answers, err := call(r.settling)
		if err == nil {
			return outcomesOf(answers, count), nil
		}
		var failed *Error
		isError := errors.As(err, &failed)
		// A refusal that points into the request is about the queue of a next message.
		if isError && failed.Code == CodeQueueNotFound && len(failed.Fields) == 0 {
			return repeated(OutcomeGone, count), nil
		}
		if r.settling.Err() == nil && !(isError && failed.Passes()) {
			return nil, err
		}
		r.report(err)
		if !sleep(r.settling, pauseAfter(tries, err)) {
			return outcomesOf(nil, count), nil
		}
	}
}

// outcomesOf returns so many outcomes. Those without an answer are unsettled.
func outcomesOf(answers []Outcome, count int) []OutcomeName {
	outcomes := repeated(OutcomeUnsettled, count)
	for i := range outcomes {
		if i < len(answers) {
			outcomes[i] = answers[i].Outcome
		}
	}
	return outcomes
}

func repeated(outcome OutcomeName, count int) []OutcomeName {
	outcomes := make([]OutcomeName, count)
	for i := range outcomes {
		outcomes[i] = outcome
	}
	return outcomes
}

// finish ends the work under way: waits for it, interrupts it, and at last goes on without it.
func (r *run) finish() {
	settled := make(chan struct{})
	go func() {
		r.working.Wait()
		close(settled)
	}()
	wait := func(limit time.Duration) {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		select {
		case <-settled:
		case <-timer.C:
		}
	}
	wait(r.Grace)
	for _, h := range r.all() {
		r.interrupt(h, endStopped)
	}
	wait(handlersReturn)
	for _, h := range r.all() {
		close(h.abandoned)
	}
	wait(lastCalls)
	r.giveUp()
	<-settled
}
