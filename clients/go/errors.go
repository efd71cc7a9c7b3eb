package holdfast

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// CodeNoAnswer is the code of an [Error] without an answer that could be read.
const CodeNoAnswer Code = "noAnswer"

// CallOutcome says whether a call that failed has done anything.
type CallOutcome string

const (
	// CallOutcomeNone says that nothing happened.
	CallOutcomeNone CallOutcome = "none"
	// CallOutcomeUnknown says that the call may have done its work.
	CallOutcomeUnknown CallOutcome = "unknown"
)

// Error is a refusal, or no answer in time.
type Error struct {
	// Message is a sentence for a person.
	Message string
	// Status is that of the answer, and 0 without one.
	Status int
	// Code is from the service's closed list, or CodeNoAnswer. The answer of a proxy without a code has
	// "http502", after its status.
	Code Code
	// Outcome says whether anything happened.
	Outcome CallOutcome
	// RetryAfter is how long the service asks to wait, or 0.
	RetryAfter time.Duration
	// RequestID names the request in the log of the service.
	RequestID string
	// Fields says what is wrong in the request, and where.
	Fields []FieldError
	cause  error
}

// FieldError is one fault of a request.
type FieldError struct {
	// Pointer is the place in the request as a JSON pointer, such as /priority.
	Pointer string `json:"pointer"`
	// Message is a sentence for a person.
	Message string `json:"message"`
}

// Error returns the sentence and the code.
func (e *Error) Error() string {
	return fmt.Sprintf("%s (%s)", e.Message, e.Code)
}

// Unwrap returns what kept the answer away, such as context.Canceled.
func (e *Error) Unwrap() error {
	return e.cause
}

// Passes reports whether the same request may succeed later.
func (e *Error) Passes() bool {
	return e.Code == CodeNoAnswer || e.Status == http.StatusTooManyRequests || e.Status >= 500
}

// CodeOf returns the code of an [*Error] in the chain of err, and "" where there is none.
func CodeOf(err error) Code {
	var refused *Error
	if errors.As(err, &refused) {
		return refused.Code
	}
	return ""
}

func noAnswer(method, address string, cause error) *Error {
	return &Error{
		Message: fmt.Sprintf("No answer to %s %s: %v.", method, address, cause),
		Code:    CodeNoAnswer,
		Outcome: CallOutcomeUnknown,
		cause:   cause,
	}
}

// refusal reads an answer that is no success. A proxy in front of the service may answer without a
// problem document.
func refusal(status int, header http.Header, text []byte) *Error {
	var problem struct {
		Detail    string       `json:"detail"`
		Code      Code         `json:"code"`
		Outcome   CallOutcome  `json:"outcome"`
		RequestID string       `json:"requestId"`
		Errors    []FieldError `json:"errors"`
	}
	if json.Unmarshal(text, &problem) != nil || problem.Code == "" {
		problem.Detail = fmt.Sprintf("The answer was %d.", status)
		problem.Code = Code(fmt.Sprintf("http%d", status))
	}
	if problem.Outcome == "" {
		problem.Outcome = CallOutcomeNone
		if status >= 500 {
			problem.Outcome = CallOutcomeUnknown
		}
	}
	refused := &Error{
		Message:   problem.Detail,
		Status:    status,
		Code:      problem.Code,
		Outcome:   problem.Outcome,
		RequestID: problem.RequestID,
		Fields:    problem.Errors,
	}
	if asked, err := strconv.ParseFloat(header.Get("retry-after"), 64); err == nil && asked > 0 {
		refused.RetryAfter = seconds(math.Min(asked, delaySecondsMax))
	}
	return refused
}

// pauseAfter returns how long to wait after so many tries: a random time of at most 0.2, 0.4, … 5 s,
// after the time that the service asks for.
func pauseAfter(tries int, err error) time.Duration {
	var refused *Error
	var asked time.Duration
	if errors.As(err, &refused) {
		asked = refused.RetryAfter
	}
	return asked + seconds(random()*math.Min(5, 0.1*math.Pow(2, float64(tries))))
}

// random returns a number from 0 to 1. Before Go 1.20, math/rand gives every process the same ones.
func random() float64 {
	return float64(binary.BigEndian.Uint32(randomBytes(4))) / math.MaxUint32
}

func randomBytes(count int) []byte {
	bytes := make([]byte, count)
	if _, err := rand.Read(bytes); err != nil {
		panic(err) // the system has no source of randomness
	}
	return bytes
}

func seconds(number float64) time.Duration {
	return time.Duration(number * float64(time.Second))
}
