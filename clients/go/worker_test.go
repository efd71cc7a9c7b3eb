package holdfast_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"holdfast"
)

var ctx = context.Background()

// TestMain runs a worker instead of the tests, where a test has started this program for that.
func TestMain(m *testing.M) {
	queue := os.Getenv("WORKER_QUEUE")
	if queue == "" {
		os.Exit(m.Run())
	}
	until, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	worker := &holdfast.Worker{
		Client: &holdfast.Client{URL: os.Getenv("HOLDFAST_URL")},
		Queue:  queue,
		Grace:  -1,
		Wait:   time.Minute,
		Handler: func(ctx context.Context, _ *holdfast.Job) error {
			os.Stdout.WriteString("began\n")
			<-ctx.Done()
			return ctx.Err()
		},
	}
	if err := worker.Run(until); err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
}

// service returns a client, and a queue for the test alone.
func service(t *testing.T) (*holdfast.Client, string) {
	t.Helper()
	t.Parallel()
	address := os.Getenv("HOLDFAST_URL")
	if address == "" {
		t.Skip("set HOLDFAST_URL to a running service")
	}
	return &holdfast.Client{URL: address}, "go-" + t.Name()
}

func enqueue(t *testing.T, client *holdfast.Client, queue string, bodies ...any) {
	t.Helper()
	for _, body := range bodies {
		if _, err := client.Enqueue(ctx, queue, holdfast.NewMessage{Body: body}); err != nil {
			t.Fatal(err)
		}
	}
}

// work runs a worker until it has settled so many messages. It returns what the worker was told.
func work(t *testing.T, worker *holdfast.Worker, count int) []holdfast.Settled {
	t.Helper()
	until, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	var all []holdfast.Settled
	worker.OnSettled = func(settled holdfast.Settled) {
		all = append(all, settled)
		if len(all) == count {
			stop()
		}
	}
	if worker.OnError == nil {
		worker.OnError = func(err error) { t.Log(err) }
	}
	if err := worker.Run(until); err != nil {
		t.Fatal(err)
	}
	if len(all) != count {
		t.Fatalf("%d messages are settled, not %d", len(all), count)
	}
	return all
}

func TestWhatAHandlerDoesDecides(t *testing.T) {
	client, queue := service(t)
	settings := holdfast.QueueSettings{KeepAckedSeconds: holdfast.Ptr(60.0)}
	if _, err := client.PutQueue(ctx, queue, settings); err != nil {
		t.Fatal(err)
	}
	enqueue(t, client, queue, "ok", "fails", "dies", "later", "done", "panics")
	handler := func(_ context.Context, job *holdfast.Job) error {
		var body string
		if err := job.Decode(&body); err != nil {
			return err
		}
		switch body {
		case "fails":
			return errors.New("for a reason")
		case "dies":
			return holdfast.Dead(errors.New("no use"))
		case "later":
			return holdfast.RetryAfter(time.Hour, nil)
		case "done":
			next := holdfast.NextMessage{Queue: queue + "-next", Body: 2}
			job.Done = holdfast.Done{Result: "<n>", Then: []holdfast.NextMessage{next}}
		case "panics":
			panic("at the disco")
		}
		return nil
	}
	worker := &holdfast.Worker{Client: client, Queue: queue, Handler: handler, Concurrency: 6}
	outcomes, ids := map[string]holdfast.OutcomeName{}, map[string]string{}
	for _, settled := range work(t, worker, 6) {
		body := string(settled.Message.Body)
		outcomes[body], ids[body] = settled.Outcome, settled.Message.ID
	}
	equal(t, outcomes[`"ok"`], holdfast.OutcomeAcked)
	equal(t, outcomes[`"done"`], holdfast.OutcomeAcked)
	equal(t, outcomes[`"fails"`], holdfast.OutcomeRetrying)

	page, err := client.Browse(ctx, queue, holdfast.BrowseQuery{})
	if err != nil {
		t.Fatal(err)
	}
	states, reasons := map[string]holdfast.StateName{}, map[string]string{}
	for _, message := range page.Messages {
		states[string(message.Body)] = message.State
		reasons[string(message.Body)] = *message.LastFailure.Reason
	}
	equal(t, states[`"dies"`], holdfast.StateDead)
	equal(t, states[`"later"`], holdfast.StateDelayed)
	equal(t, reasons[`"fails"`], "for a reason")
	equal(t, reasons[`"dies"`], "no use")
	equal(t, reasons[`"later"`], "to be tried again after 1h0m0s")
	equal(t, reasons[`"panics"`], "the handler panicked: at the disco")
	done, err := client.Message(ctx, queue, ids[`"done"`], 0)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, string(done.Result), `"<n>"`)
	next, err := client.Queue(ctx, queue+"-next")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, next.Counts.Ready, 1)
}

type mute struct{ text string }

func (m *mute) Error() string { return m.text }

type panics struct{}

func (panics) MarshalJSON() ([]byte, error) { panic("no text") }

func TestWhatPanicsAfterTheHandlerFailsTheMessage(t *testing.T) {
	client, queue := service(t)
	settings := holdfast.QueueSettings{MaxAttempts: holdfast.Value(1)}
	if _, err := client.PutQueue(ctx, queue, settings); err != nil {
		t.Fatal(err)
	}
	enqueue(t, client, queue, "error", "result", "channel", "ok")
	worker := &holdfast.Worker{Client: client, Queue: queue, Concurrency: 4}
	worker.OnError = func(error) { panic("no listener") }
	worker.Handler = func(_ context.Context, job *holdfast.Job) error {
		switch string(job.Body) {
		case `"error"`:
			var none *mute
			return none
		case `"result"`:
			job.Done.Result = panics{}
		case `"channel"`:
			job.Done.Result = make(chan int)
		}
		return nil
	}
	outcomes := map[string]holdfast.OutcomeName{}
	for _, settled := range work(t, worker, 4) {
		outcomes[string(settled.Message.Body)] = settled.Outcome
	}
	dead := holdfast.OutcomeDead
	expected := map[string]holdfast.OutcomeName{`"error"`: dead, `"result"`: dead, `"channel"`: dead}
	expected[`"ok"`] = holdfast.OutcomeAcked
	equal(t, outcomes, expected)
}

func TestAnAckThatGoesWithARefusedLeaseIsSentByItself(t *testing.T) {
	client, queue := service(t)
	enqueue(t, client, queue, 1)
	worker := &holdfast.Worker{Client: client, Queue: queue}
	worker.Handler = func(context.Context, *holdfast.Job) error {
		return client.DeleteQueue(ctx, queue, holdfast.DeleteQueueQuery{})
	}
	equal(t, work(t, worker, 1)[0].Outcome, holdfast.OutcomeGone)
}

func TestAGroupOfAnOrderedQueueIsWorkedOnInItsOrder(t *testing.T) {
	client, queue := service(t)
	settings := holdfast.QueueSettings{
		Ordering: holdfast.OrderingGroup,
		Retry: &holdfast.Retry{
			Strategy:     holdfast.RetryStrategyFixed,
			DelaySeconds: holdfast.Ptr(0.0),
			Jitter:       holdfast.Ptr(false),
		},
	}
	if _, err := client.PutQueue(ctx, queue, settings); err != nil {
		t.Fatal(err)
	}
	var messages []holdfast.NewMessage
	for n := 1; n <= 4; n++ {
		for _, group := range []string{"ada", "bob"} {
			messages = append(messages, holdfast.NewMessage{Body: n, Group: group})
		}
	}
	if _, err := client.EnqueueMany(ctx, queue, messages); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var both sync.WaitGroup // groups go side by side
	both.Add(2)
	worked := map[string][]string{}
	handler := func(_ context.Context, job *holdfast.Job) error {
		mu.Lock()
		isFirst := len(worked[job.Group]) == 0
		worked[job.Group] = append(worked[job.Group], fmt.Sprintf("%s.%d", job.Body, job.Attempt))
		mu.Unlock()
		if isFirst {
			both.Done()
			both.Wait()
		}
		if job.Group == "ada" && string(job.Body) == "2" && job.Attempt < 3 {
			return errors.New("not yet")
		}
		return nil
	}
	worker := &holdfast.Worker{Client: client, Queue: queue, Handler: handler, Concurrency: 10}
	until, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	acked, released := 0, map[string]bool{}
	worker.OnSettled = func(settled holdfast.Settled) {
		switch settled.Outcome {
		case holdfast.OutcomeReleased:
			released[settled.Message.Group+string(settled.Message.Body)] = true
		case holdfast.OutcomeAcked:
			if acked++; acked == 8 {
				stop()
			}
		}
	}
	if err := worker.Run(until); err != nil {
		t.Fatal(err)
	}
	equal(t, worked, map[string][]string{
		"ada": {"1.1", "2.1", "2.2", "2.3", "3.1", "4.1"},
		"bob": {"1.1", "2.1", "3.1", "4.1"},
	})
	equal(t, released, map[string]bool{"ada3": true, "ada4": true})
}

func TestAStoppedWorkerGivesBackWhatWaitsForItsTurn(t *testing.T) {
	client, queue := service(t)
	settings := holdfast.QueueSettings{Ordering: holdfast.OrderingQueue}
	if _, err := client.PutQueue(ctx, queue, settings); err != nil {
		t.Fatal(err)
	}
	enqueue(t, client, queue, 1, 2, 3)
	until, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	var outcomes []holdfast.OutcomeName
	worker := &holdfast.Worker{Client: client, Queue: queue, Concurrency: 3}
	worker.OnSettled = func(settled holdfast.Settled) { outcomes = append(outcomes, settled.Outcome) }
	worker.Handler = func(_ context.Context, job *holdfast.Job) error {
		if string(job.Body) == "1" {
			return holdfast.Dead(errors.New("no use"))
		}
		stop()
		return nil
	}
	if err := worker.Run(until); err != nil {
		t.Fatal(err)
	}
	equal(t, outcomes, []holdfast.OutcomeName{"dead", "acked", "released"})
}

func TestBodiesComeAsTheyWere(t *testing.T) {
	client, queue := service(t)
	types := map[string]string{"\x00\xff": "application/octet-stream", "ä": "text/plain"}
	for body, contentType := range types {
		options := holdfast.RawOptions{Priority: holdfast.Ptr(0)}
		if _, err := client.EnqueueRaw(ctx, queue, []byte(body), contentType, options); err != nil {
			t.Fatal(err)
		}
	}
	enqueue(t, client, queue, json.RawMessage(`{"n":1.50,"s":"<&>"}`))
	bodies := map[string]int{}
	handler := func(_ context.Context, job *holdfast.Job) error {
		body, err := job.Bytes()
		bodies[string(body)] = job.Priority
		return err
	}
	work(t, &holdfast.Worker{Client: client, Queue: queue, Handler: handler}, 3)
	equal(t, bodies, map[string]int{"\x00\xff": 0, "ä": 0, `{"n":1.50,"s":"<&>"}`: 4})
	_, err := client.EnqueueRaw(ctx, queue, nil, "application/json", holdfast.RawOptions{})
	if err == nil {
		t.Fatal("JSON is not raw")
	}
}

func TestManyHandsWorkAtOnce(t *testing.T) {
	client, queue := service(t)
	messages := make([]holdfast.NewMessage, 200)
	if _, err := client.EnqueueMany(ctx, queue, messages); err != nil {
		t.Fatal(err)
	}
	const hands = 20
	var now atomic.Int32
	var once sync.Once
	together := make(chan struct{})
	handler := func(context.Context, *holdfast.Job) error {
		defer now.Add(-1)
		switch working := now.Add(1); {
		case working > hands:
			t.Errorf("%d handlers work at once", working)
		case working == hands:
			once.Do(func() { close(together) })
		}
		<-together
		return nil
	}
	worker := &holdfast.Worker{Client: client, Queue: queue, Handler: handler, Concurrency: hands}
	for _, settled := range work(t, worker, len(messages)) {
		equal(t, settled.Outcome, holdfast.OutcomeAcked)
	}
}

func TestALeaseLastsWhileTheHandlerWorks(t *testing.T) {
	client, queue := service(t)
	enqueue(t, client, queue, 1)
	handler := func(ctx context.Context, job *holdfast.Job) error {
		over := time.NewTimer(time.Until(job.LeaseExpiresAt) + 300*time.Millisecond)
		select {
		case <-over.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	worker := &holdfast.Worker{Client: client, Queue: queue, Handler: handler}
	worker.LeaseTime = 600 * time.Millisecond
	settled := work(t, worker, 1)[0]
	equal(t, settled.Outcome, holdfast.OutcomeAcked)
	equal(t, settled.Message.Attempt, 1)
}

func TestAHandlerHearsThatItsLeaseIsLost(t *testing.T) {
	client, queue := service(t)
	enqueue(t, client, queue, 1)
	handler := func(ctx context.Context, job *holdfast.Job) error {
		if _, err := client.Release(ctx, queue, job.Receipt); err != nil {
			return err
		}
		<-ctx.Done()
		return ctx.Err()
	}
	worker := &holdfast.Worker{Client: client, Queue: queue, Handler: handler}
	worker.LeaseTime = 300 * time.Millisecond
	settled := work(t, worker, 1)[0]
	if settled.Outcome != holdfast.OutcomeLeaseLost && settled.Outcome != holdfast.OutcomeGone {
		t.Fatal(settled.Outcome)
	}
	equal(t, errors.Is(settled.Err, context.Canceled), true)
}

// A badNetwork may refuse a call, or lose its answer after the call was done.
type badNetwork func(path string) string

func (upset badNetwork) RoundTrip(request *http.Request) (*http.Response, error) {
	what := upset(request.URL.Path)
	if what == "refuse" {
		return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: http.NoBody}, nil
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err == nil && what == "lose" {
		response.Body.Close()
		return nil, io.ErrUnexpectedEOF
	}
	return response, err
}

// behind returns a client of the same service behind a bad network.
func behind(client *holdfast.Client, upset badNetwork) *holdfast.Client {
	return &holdfast.Client{URL: client.URL, HTTPClient: &http.Client{Transport: upset}}
}

func TestLostAnswersAndRefusalsAreRepeated(t *testing.T) {
	client, queue := service(t)
	var mu sync.Mutex
	tries := map[string]int{}
	upset := behind(client, func(path string) string {
		mu.Lock()
		defer mu.Unlock()
		tries[path]++
		return map[int]string{1: "refuse", 2: "lose"}[tries[path]]
	})
	enqueue(t, upset, queue, 1, 2, 3)
	handler := func(_ context.Context, job *holdfast.Job) error {
		if job.Attempt != 1 || string(job.Body) == "2" {
			return holdfast.Dead(errors.New("no use"))
		}
		job.Done.Result = "done"
		return nil
	}
	failed := 0
	worker := &holdfast.Worker{Client: upset, Queue: queue, Handler: handler}
	worker.OnError = func(error) { failed++ }
	for _, settled := range work(t, worker, 3) {
		equal(t, settled.Message.Attempt, 1)
	}
	if failed < 5 {
		t.Fatalf("OnError has heard of %d errors", failed)
	}
	report, err := client.Queue(ctx, queue)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, report.Counts, holdfast.Counts{Dead: 1})
}

func TestALeaseThatCannotBeExtendedIsGivenUpInTime(t *testing.T) {
	client, queue := service(t)
	enqueue(t, client, queue, 1)
	upset := behind(client, func(path string) string {
		if strings.HasSuffix(path, "/extend") {
			return "refuse"
		}
		return ""
	})
	left := make(chan time.Duration, 1)
	handler := func(ctx context.Context, job *holdfast.Job) error {
		<-ctx.Done()
		left <- time.Until(job.LeaseExpiresAt)
		return ctx.Err()
	}
	worker := &holdfast.Worker{Client: upset, Queue: queue, Handler: handler, LeaseTime: time.Second}
	equal(t, work(t, worker, 1)[0].Outcome, holdfast.OutcomeLeaseLost)
	if rest := <-left; rest <= 0 || rest > 500*time.Millisecond {
		t.Fatalf("the handler was told %v before the end", rest)
	}
}

// startWorker runs a worker in a process of its own.
func startWorker(t *testing.T, queue string) (*exec.Cmd, io.Reader) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(program)
	child.Env = append(os.Environ(), "WORKER_QUEUE="+queue)
	child.Stderr = os.Stderr
	output, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill() })
	return child, output
}

func TestSIGTERMGivesBackWhatIsInHand(t *testing.T) {
	client, queue := service(t)
	enqueue(t, client, queue, 1)
	child, output := startWorker(t, queue)
	if line, err := bufio.NewReader(output).ReadString('\n'); line != "began\n" {
		t.Fatal(line, err)
	}
	if err := child.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := child.Wait(); err != nil {
		t.Fatal(err)
	}
	leased, err := client.Lease(ctx, queue, holdfast.LeaseRequest{})
	if err != nil || len(leased.Messages) != 1 {
		t.Fatal(leased, err)
	}
	equal(t, leased.Messages[0].Attempt, 1)
}

func TestAStoppedWorkerGivesBackWhatItHasNotSeen(t *testing.T) {
	client, queue := service(t)
	enqueue(t, client, queue, 1)
	until, stop := context.WithCancel(ctx)
	tries := 0
	worker := &holdfast.Worker{
		Client: behind(client, func(string) string {
			tries++
			return map[int]string{1: "lose"}[tries]
		}),
		Queue:   queue,
		Handler: func(context.Context, *holdfast.Job) error { return nil },
		OnError: func(error) { stop() },
	}
	if err := worker.Run(until); err != nil {
		t.Fatal(err)
	}
	report, err := client.Queue(ctx, queue)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, report.Counts, holdfast.Counts{Ready: 1})
}

func TestAStoppedWorkerStillAcksWhatIsDone(t *testing.T) {
	client, queue := service(t)
	enqueue(t, client, queue, 1)
	until, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	var leases atomic.Int32
	var outcome holdfast.OutcomeName
	worker := &holdfast.Worker{
		Client: behind(client, func(path string) string {
			if strings.HasSuffix(path, "/lease") && leases.Add(1) == 2 {
				return "refuse" // the lease that brings the ack along
			}
			return ""
		}),
		Queue:     queue,
		Handler:   func(context.Context, *holdfast.Job) error { return nil },
		OnError:   func(error) { stop() },
		OnSettled: func(settled holdfast.Settled) { outcome = settled.Outcome },
	}
	if err := worker.Run(until); err != nil {
		t.Fatal(err)
	}
	equal(t, outcome, holdfast.OutcomeAcked)
}

func TestAWorkerThatWaitsStopsAtOnce(t *testing.T) {
	client, queue := service(t)
	until, stop := context.WithCancel(ctx)
	asked := make(chan struct{}, 10)
	worker := &holdfast.Worker{
		Client: behind(client, func(string) string {
			asked <- struct{}{}
			return ""
		}),
		Queue:   queue,
		Wait:    time.Minute,
		Handler: func(context.Context, *holdfast.Job) error { return nil },
	}
	if _, err := client.PutQueue(ctx, queue, holdfast.QueueSettings{}); err != nil {
		t.Fatal(err)
	}
	go func() {
		<-asked
		stop()
	}()
	began := time.Now()
	if err := worker.Run(until); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Fatalf("it took %v to stop", took)
	}
}

func TestARefusalSaysWhy(t *testing.T) {
	client, queue := service(t)
	_, err := client.Enqueue(ctx, queue, holdfast.NewMessage{Body: 1, Priority: holdfast.Ptr(99)})
	var refused *holdfast.Error
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	equal(t, refused.Status, http.StatusBadRequest)
	equal(t, refused.Code, holdfast.CodeInvalidRequest)
	equal(t, refused.Outcome, holdfast.CallOutcomeNone)
	equal(t, refused.Fields[0].Pointer, "/priority")
	equal(t, refused.Passes(), false)
}

func TestAnEmptyListOfIDsDoesNotStandForAll(t *testing.T) {
	client, queue := service(t)
	enqueue(t, client, queue, 1)
	if _, err := client.Purge(ctx, queue, holdfast.PurgeRequest{IDs: []string{}}); err == nil {
		t.Error("Purge has accepted it")
	}
	if _, err := client.Redrive(ctx, queue, holdfast.RedriveRequest{IDs: []string{}}); err == nil {
		t.Error("Redrive has accepted it")
	}
	if _, err := client.Retry(ctx, queue, holdfast.RetryRequest{IDs: []string{}}); err == nil {
		t.Error("Retry has accepted it")
	}
	purged, err := client.Purge(ctx, queue, holdfast.PurgeRequest{})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, purged.Purged, 1)
}

func TestSettingsMayBeNullAndEmpty(t *testing.T) {
	client, queue := service(t)
	settings := holdfast.QueueSettings{
		MaxDepth: holdfast.Value(5),
		Rate:     holdfast.Value(holdfast.Rate{Messages: 1, PerSeconds: 2}),
		Paused:   holdfast.Ptr(true),
		Tags:     &map[string]string{"team": "mail"},
	}
	report, err := client.PutQueue(ctx, queue, settings)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, *report.Settings.MaxDepth, 5)
	equal(t, *report.Settings.Rate, holdfast.Rate{Messages: 1, PerSeconds: 2})
	report, err = client.PutQueue(ctx, queue, holdfast.QueueSettings{
		MaxDepth: holdfast.Null[int](),
		Paused:   holdfast.Ptr(false),
		Tags:     &map[string]string{},
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, report.Settings.MaxDepth == nil, true)
	equal(t, report.Settings.Rate != nil, true)
	equal(t, report.Settings.Paused, false)
	equal(t, len(report.Settings.Tags), 0)
}

func TestNoServiceIsNoAnswer(t *testing.T) {
	t.Parallel()
	away := &holdfast.Client{URL: "http://127.0.0.1:9"}
	short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	_, err := away.Queues(short, holdfast.QueuesQuery{})
	equal(t, holdfast.CodeOf(err), holdfast.CodeNoAnswer)
	equal(t, errors.Is(err, context.DeadlineExceeded), true)
	away.RetryFor = -1
	_, err = away.Queues(ctx, holdfast.QueuesQuery{})
	equal(t, holdfast.CodeOf(err), holdfast.CodeNoAnswer)
}

func TestAWorkerRefusesFieldsThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	run := func(context.Context, *holdfast.Job) error { return nil }
	client := &holdfast.Client{URL: "http://127.0.0.1:9"}
	hasty := &holdfast.Client{URL: client.URL, Timeout: -time.Second}
	nowhere := &holdfast.Client{URL: "127.0.0.1"}
	const long = 13 * time.Hour
	for sentence, worker := range map[string]holdfast.Worker{
		"a worker needs a Client":      {Queue: "q", Handler: run},
		"a worker needs a Queue":       {Client: client, Handler: run},
		"a worker needs a Handler":     {Client: client, Queue: "q"},
		"URL is \"127.0.0.1\"":         {Client: nowhere, Queue: "q", Handler: run},
		"Timeout of the Client is -1s": {Client: hasty, Queue: "q", Handler: run},
		"Concurrency is 1001":          {Client: client, Queue: "q", Handler: run, Concurrency: 1001},
		"Concurrency is -1":            {Client: client, Queue: "q", Handler: run, Concurrency: -1},
		"LeaseTime is 1ms":             {Client: client, Queue: "q", Handler: run, LeaseTime: 1e6},
		"Wait is 1h0m0s":               {Client: client, Queue: "q", Handler: run, Wait: time.Hour},
		"Grace is 13h0m0s":             {Client: client, Queue: "q", Handler: run, Grace: long},
	} {
		worker := worker
		err := worker.Run(ctx)
		if err == nil || !strings.HasPrefix(err.Error(), "holdfast: "+sentence) {
			t.Errorf("%v, not: %s", err, sentence)
		}
	}
}

func equal(t *testing.T, actual, expected any) {
	t.Helper()
	if !reflect.DeepEqual(actual, expected) {
		t.Fatalf("%v, not %v", actual, expected)
	}
}
