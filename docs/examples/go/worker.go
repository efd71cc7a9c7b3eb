// A worker in one file. It works on one message at a time, extends the lease while it works, and
// acks the message with the next lease. You can kill it at any time: the message comes back.
//
//	go run docs/examples/go/worker.go
//
// QUEUE_URL      the queue (default http://127.0.0.1:8080/queues/work)
// HOLDFAST_KEY   an API key, where the service asks for one
// WORK_SECONDS   how long the work takes in this example (default 1)
// LEASE_SECONDS  how long a lease lasts (default 30)
//
// On SIGTERM or Ctrl-C it gives back the message it works on, and the attempt does not count.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	mathrand "math/rand"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

type message struct {
	ID         string
	Receipt    string
	Attempt    int
	Body       json.RawMessage
	BodyBase64 string
}

type leaseAnswer struct {
	Messages []message
	Outcomes []struct{ Outcome string }
}

// A refusal is an answer that is no success.
type refusal struct {
	status            int
	retryAfterSeconds float64
	text              string
}

func (r *refusal) Error() string {
	return fmt.Sprintf("answered with %d: %s", r.status, r.text)
}

var (
	// errDead is for work: another attempt would be of no use.
	errDead = errors.New("dead")

	client       = &http.Client{}
	leaseSeconds = number("LEASE_SECONDS", 30)
)

// work is the place for your own work. Return an error to have the message tried again later. Long
// work should stop when ctx is done.
func work(ctx context.Context, m message) error {
	if m.Body == nil {
		return fmt.Errorf("no attempt can work on this body: %w", errDead)
	}
	seconds := number("WORK_SECONDS", 1)
	if math.IsNaN(seconds) {
		return errors.New("WORK_SECONDS is not a number")
	}
	return sleep(ctx, seconds)
}

func main() {
	mathrand.Seed(time.Now().UnixNano()) // before Go 1.20, each process has the same pauses otherwise
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var done *message // finished, and not yet acked
	for ctx.Err() == nil {
		// A message that is done is acked with the next lease, in one commit. Such a call does not
		// wait. The key makes the call safe to repeat: it brings the same message again.
		request := map[string]any{
			"leaseSeconds":   leaseSeconds,
			"worker":         "worker.go",
			"idempotencyKey": newKey(),
		}
		if done == nil {
			request["waitSeconds"] = 20
		} else {
			request["ack"] = []string{done.Receipt}
		}
		var answer leaseAnswer
		if err := call(ctx, "lease", request, &answer); err != nil {
			if ctx.Err() != nil {
				break
			}
			return err
		}
		if done != nil {
			if answer.Outcomes[0].Outcome == "leaseLost" {
				fmt.Println("lost the lease of", done.ID)
			} else {
				fmt.Println("acked", done.ID)
			}
			done = nil
		}
		for i := range answer.Messages {
			finished, err := handle(ctx, answer.Messages[i])
			if err != nil {
				return err
			}
			if finished {
				done = &answer.Messages[i]
			}
		}
	}
	if done != nil {
		last("ack", done.Receipt)
	}
	return nil
}

// handle reports whether the work is done, and is to be acked.
func handle(ctx context.Context, m message) (bool, error) {
	var body bytes.Buffer
	if m.Body == nil || json.Compact(&body, m.Body) != nil {
		body.WriteString(m.BodyBase64)
	}
	fmt.Println("working", m.ID, "attempt", m.Attempt, body.String())

	working, cancel := context.WithCancel(ctx)
	defer cancel()
	var lost atomic.Bool
	go keep(working, m.Receipt, func() {
		lost.Store(true)
		cancel()
	})
	err := work(working, m)
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		last("release", m.Receipt)
		return false, nil
	case lost.Load():
		fmt.Println("lost the lease of", m.ID)
		return false, nil
	}
	failure := map[string]any{
		"receipt": m.Receipt,
		"reason":  err.Error(),
		"dead":    errors.Is(err, errDead),
	}
	var outcome struct{}
	err = call(ctx, "fail", failure, &outcome)
	var refused *refusal
	switch {
	case err == nil:
		fmt.Println("failed", m.ID)
	case errors.As(err, &refused) && refused.status == http.StatusConflict:
		fmt.Println("lost the lease of", m.ID)
	case ctx.Err() == nil:
		return false, err
	}
	return false, nil
}

// keep extends the lease whenever a third of it is over, until the work is done or the lease lost.
func keep(working context.Context, receipt string, onLost func()) {
	extension := map[string]any{"receipt": receipt, "leaseSeconds": leaseSeconds}
	for sleep(working, leaseSeconds/3) == nil {
		var outcome struct{}
		err := post(working, "extend", extension, &outcome, leaseSeconds/6)
		var refused *refusal
		if errors.As(err, &refused) && refused.status == http.StatusConflict {
			onLost()
		}
		// After any other error there is time for another try.
	}
}

// last makes one try of a call that need not succeed: otherwise the lease ends by itself.
func last(verb, receipt string) {
	var outcome struct{}
	_ = post(context.Background(), verb, map[string]any{"receipt": receipt}, &outcome, 5)
}

// call repeats the same request, which is safe, until it has an answer.
func call(ctx context.Context, verb string, request, answer any) error {
	for tries := 1; ; tries++ {
		err := post(ctx, verb, request, answer, 30)
		if err == nil || ctx.Err() != nil {
			return err
		}
		asked := 0.0
		var refused *refusal
		if errors.As(err, &refused) {
			// The first message makes the queue.
			noQueueYet := verb == "lease" && refused.status == http.StatusNotFound
			if refused.status != 429 && refused.status < 500 && !noQueueYet {
				return err
			}
			asked = refused.retryAfterSeconds
		}
		fmt.Fprintf(os.Stderr, "%s: %v, trying again\n", verb, err)
		pause := mathrand.Float64() * math.Min(5, 0.1*math.Pow(2, float64(tries)))
		if err := sleep(ctx, asked+pause); err != nil {
			return err
		}
	}
}

func post(ctx context.Context, verb string, request, answer any, timeoutSeconds float64) error {
	text, err := json.Marshal(request)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, duration(timeoutSeconds))
	defer cancel()
	url := os.Getenv("QUEUE_URL")
	if url == "" {
		url = "http://127.0.0.1:8080/queues/work"
	}
	r, err := http.NewRequestWithContext(ctx, "POST", url+"/"+verb, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("content-type", "application/json")
	if key := os.Getenv("HOLDFAST_KEY"); key != "" {
		r.Header.Set("authorization", "Bearer "+key)
	}
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		detail, _ := io.ReadAll(io.LimitReader(response.Body, 4096))
		seconds, _ := strconv.ParseFloat(response.Header.Get("retry-after"), 64)
		return &refusal{response.StatusCode, seconds, string(detail)}
	}
	return json.NewDecoder(response.Body).Decode(answer)
}

// sleep returns an error when ctx is done before the time is over.
func sleep(ctx context.Context, seconds float64) error {
	timer := time.NewTimer(duration(seconds))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func duration(seconds float64) time.Duration {
	return time.Duration(seconds * float64(time.Second))
}

func newKey() string {
	key := make([]byte, 16)
	if _, err := rand.Read(key); err != nil {
		panic(err)
	}
	return hex.EncodeToString(key)
}

// number reads an environment variable. It is NaN when that holds something else.
func number(name string, otherwise float64) float64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return math.NaN()
	}
	return value
}
