package holdfast

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Handler works on a message. When it returns nil, the message is acked. When it returns an error, the
// message fails with the error's text as the reason, and is tried again. See [Dead] and [RetryAfter].
//
// ctx is done when the lease is lost, or when the worker stops and its time is up. Pass it on, and stop
// the work then. A panic fails the message.
type Handler func(ctx context.Context, job *Job) error

// Job is what a handler is given: the message as it was leased. Store its Fence beside your effect, and
// refuse a smaller one.
type Job struct {
	LeasedMessage
	// Done is for the handler to set, before it returns nil.
	Done Done
}

// Done is what an ack says of the work, and what it enqueues in the same commit. If the service refuses
// it for good, for example without the right to a queue, the message fails with that reason.
type Done struct {
	// Result is what came of the work: any JSON of up to 65536 bytes.
	Result any
	// Then are the messages to enqueue, in any queues.
	Then []NextMessage
}

// Settled is what became of a message in the hands of a worker.
type Settled struct {
	// Message is the message as it was leased.
	Message LeasedMessage
	// Outcome is the service's answer, or OutcomeUnsettled. After a lost answer, OutcomeGone mostly
	// means that the try before was counted.
	Outcome OutcomeName
	// Err is what the handler returned.
	Err error
}

// OutcomeUnsettled says that no answer came, so the lease will run out.
const OutcomeUnsettled OutcomeName = "unsettled"

// Decode reads the body into the value that v points to, as [json.Unmarshal] does. A text is a JSON
// string. It returns an error for bytes that are neither, for which there is Bytes.
func (m *LeasedMessage) Decode(v any) error {
	if m.Body == nil {
		return fmt.Errorf("the body is no JSON but %s, of %d characters in Base64",
			m.ContentType, len(m.BodyBase64))
	}
	return json.Unmarshal(m.Body, v)
}

// Bytes returns the body as it was enqueued: the text of JSON, another text, or bytes.
func (m *LeasedMessage) Bytes() ([]byte, error) {
	if m.Body == nil {
		return base64.StdEncoding.DecodeString(m.BodyBase64)
	}
	if isJSON.MatchString(m.ContentType) {
		return m.Body, nil
	}
	var text string
	err := json.Unmarshal(m.Body, &text)
	return []byte(text), err
}

type deadError struct{ error }

func (e *deadError) Unwrap() error { return e.error }

// Dead is for a handler to return: the message becomes dead, because another try would not help. The
// reason is that of err.
func Dead(err error) error {
	if err == nil {
		err = errors.New("the handler gave no reason")
	}
	return &deadError{err}
}

type retryError struct {
	error
	delay time.Duration
}

func (e *retryError) Unwrap() error { return e.error }

// RetryAfter is for a handler to return: the message is tried again after the delay, instead of after
// the queue's. A delay is at most a year. The reason is that of err, which may be nil.
func RetryAfter(delay time.Duration, err error) error {
	if err == nil {
		err = fmt.Errorf("to be tried again after %v", delay)
	}
	return &retryError{err, delay}
}

const reasonCharsMax = 1000

// failureOf returns what a fail says of an error.
func failureOf(receipt string, err error) Failure {
	text := "the handler returned an error that has no text"
	_ = guarded(func() { text = err.Error() }) // the method of a nil pointer may panic
	reason := []rune(strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", ""))
	if len(reason) > reasonCharsMax {
		reason = reason[:reasonCharsMax]
	}
	failure := Failure{Receipt: receipt, Reason: string(reason)}
	var dead *deadError
	failure.Dead = errors.As(err, &dead)
	var retry *retryError
	if errors.As(err, &retry) {
		delay := retry.delay.Seconds()
		if delay < 0 {
			delay = 0
		}
		if delay > delaySecondsMax {
			delay = delaySecondsMax
		}
		failure.DelaySeconds = &delay
	}
	return failure
}
