package holdfast

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"time"
)

// Client calls a Holdfast service. Goroutines may share one. Set its fields before its first call.
type Client struct {
	// URL is where the service is: http://127.0.0.1:8080.
	URL string
	// Key is an API key, where the service asks for one.
	Key string
	// Timeout is how long one try may take, beside the time that the call waits for a message. Default
	// 30 s.
	Timeout time.Duration
	// RetryFor is how long after the first try another may begin. Default 30 s. Negative: there is one
	// try.
	RetryFor time.Duration
	// HTTPClient sends the requests. Default: a client that all Clients share, and that keeps up to
	// 1000 connections.
	HTTPClient *http.Client
}

// Enqueue stores a message, and returns after the commit. Without an IdempotencyKey the client makes
// one, so that a try after a lost answer stores nothing twice.
func (c *Client) Enqueue(ctx context.Context, queue string, message NewMessage) (*Enqueued, error) {
	message.IdempotencyKey = keyOr(message.IdempotencyKey)
	return post[Enqueued](ctx, c, pathOf("queues", queue, "messages"), message)
}

// EnqueueMany stores 1 to 1000 messages, all or none.
func (c *Client) EnqueueMany(ctx context.Context, queue string, messages []NewMessage) ([]Enqueued, error) {
	keyed := make([]NewMessage, len(messages))
	for i, message := range messages {
		message.IdempotencyKey = keyOr(message.IdempotencyKey)
		keyed[i] = message
	}
	list := map[string]any{"messages": keyed}
	answer, err := post[struct{ Messages []Enqueued }](ctx, c, pathOf("queues", queue, "messages"), list)
	if err != nil {
		return nil, err
	}
	return answer.Messages, nil
}

// EnqueueRaw stores bytes. A lease gives them back unchanged, with their content type. It refuses
// application/json, for which there is Enqueue.
func (c *Client) EnqueueRaw(
	ctx context.Context, queue string, body []byte, contentType string, options RawOptions,
) (*Enqueued, error) {
	options.IdempotencyKey = keyOr(options.IdempotencyKey)
	return raw[Enqueued](ctx, c, pathOf("queues", queue, "messages"), body, contentType, options)
}

// Lease takes messages for a time. Without an IdempotencyKey the client makes one, so that a try after
// a lost answer brings the same messages.
func (c *Client) Lease(ctx context.Context, queue string, lease LeaseRequest) (*Leased, error) {
	lease.IdempotencyKey = keyOr(lease.IdempotencyKey)
	wait := seconds(waitSecondsMax) // without WaitSeconds the queue says how long
	if lease.WaitSeconds != nil {
		wait = seconds(*lease.WaitSeconds)
	}
	r := request{method: http.MethodPost, path: pathOf("queues", queue, "lease"), body: lease, wait: wait}
	return answerOf[Leased](ctx, c, r)
}

// Ack says that the work is done. An ack may say what came of the work, and enqueue messages in the
// same commit. It returns an [*Error] with CodeLeaseLost when somebody else has the message by now.
func (c *Client) Ack(ctx context.Context, queue string, ack Ack) (*Outcome, error) {
	return post[Outcome](ctx, c, pathOf("queues", queue, "ack"), ack)
}

// AckMany acks 1 to 1000 receipts, and returns an outcome for each, in the order given. If a Then is
// refused, nothing is acked.
func (c *Client) AckMany(ctx context.Context, queue string, acks []Ack) ([]Outcome, error) {
	receipts := make([]string, 0, len(acks))
	for _, ack := range acks {
		if ack.Result != nil || len(ack.Then) > 0 {
			return c.settleMany(ctx, queue, "ack", "acks", acks)
		}
		receipts = append(receipts, ack.Receipt)
	}
	return c.settleMany(ctx, queue, "ack", "receipts", receipts)
}

// Fail says that the work failed. The message is tried again later, or is dead.
func (c *Client) Fail(ctx context.Context, queue string, failure Failure) (*Outcome, error) {
	return post[Outcome](ctx, c, pathOf("queues", queue, "fail"), failure)
}

// FailMany fails 1 to 1000 messages, and returns an outcome for each, in the order given.
func (c *Client) FailMany(ctx context.Context, queue string, failures []Failure) ([]Outcome, error) {
	return c.settleMany(ctx, queue, "fail", "failures", failures)
}

// Extend lets the lease end so many seconds from now. It returns an [*Error] with CodeLeaseLost or
// CodeGone when the lease cannot be extended.
func (c *Client) Extend(ctx context.Context, queue string, extension Extension) (*Outcome, error) {
	return post[Outcome](ctx, c, pathOf("queues", queue, "extend"), extension)
}

// ExtendMany extends 1 to 1000 leases, and returns an outcome for each, in the order given.
func (c *Client) ExtendMany(ctx context.Context, queue string, extensions []Extension) ([]Outcome, error) {
	return c.settleMany(ctx, queue, "extend", "extensions", extensions)
}

// Release gives a message back. The attempt does not count.
func (c *Client) Release(ctx context.Context, queue, receipt string) (*Outcome, error) {
	body := map[string]any{"receipt": receipt}
	return post[Outcome](ctx, c, pathOf("queues", queue, "release"), body)
}

// ReleaseMany gives 1 to 1000 messages back, and returns an outcome for each, in the order given.
func (c *Client) ReleaseMany(ctx context.Context, queue string, receipts []string) ([]Outcome, error) {
	return c.settleMany(ctx, queue, "release", "receipts", receipts)
}

// Browse lists messages by id, without leasing them.
func (c *Client) Browse(ctx context.Context, queue string, query BrowseQuery) (*MessagePage, error) {
	return get[MessagePage](ctx, c, pathOf("queues", queue, "messages"), query)
}

// Message returns one message with its lease and its history. With a wait of up to 60 s it returns
// once the message is acked, dead or gone, or the wait is over.
func (c *Client) Message(
	ctx context.Context, queue, id string, wait time.Duration,
) (*MessageDetail, error) {
	query := struct {
		WaitSeconds float64 `json:"waitSeconds,omitempty"`
	}{wait.Seconds()}
	path := pathOf("queues", queue, "messages", id)
	r := request{method: http.MethodGet, path: path, query: query, wait: wait}
	return answerOf[MessageDetail](ctx, c, r)
}

// Explain tells why a message is where it is.
func (c *Client) Explain(ctx context.Context, queue, id string) (*Explanation, error) {
	return get[Explanation](ctx, c, pathOf("queues", queue, "messages", id, "explain"), nil)
}

// Cancel removes a message. It returns an [*Error] with CodeMessageLeased while a worker has it.
func (c *Client) Cancel(ctx context.Context, queue, id string) error {
	return c.remove(ctx, "queues", queue, "messages", id)
}

// Queues returns a page of queues, by name.
func (c *Client) Queues(ctx context.Context, query QueuesQuery) (*QueueList, error) {
	return get[QueueList](ctx, c, "/queues", query)
}

// Queue returns a queue's settings, and the number of messages in each state.
func (c *Client) Queue(ctx context.Context, queue string) (*QueueReport, error) {
	return get[QueueReport](ctx, c, pathOf("queues", queue), nil)
}

// Series returns the last hour of a queue: counts, rates, waiting and working times.
func (c *Client) Series(ctx context.Context, queue string) (*Series, error) {
	return get[Series](ctx, c, pathOf("queues", queue, "series"), nil)
}

// Groups returns a page of the groups of a queue, and what goes first in each.
func (c *Client) Groups(ctx context.Context, queue string, query PageQuery) (*GroupList, error) {
	return get[GroupList](ctx, c, pathOf("queues", queue, "groups"), query)
}

// Failures groups the failed messages of a queue by the reason of their last failure. The IDs of a
// group are for Redrive or Retry.
func (c *Client) Failures(ctx context.Context, queue string, query FailuresQuery) (*Failures, error) {
	return get[Failures](ctx, c, pathOf("queues", queue, "failures"), query)
}

// Consumers returns the workers seen lately on a queue.
func (c *Client) Consumers(ctx context.Context, queue string) (*Consumers, error) {
	return get[Consumers](ctx, c, pathOf("queues", queue, "consumers"), nil)
}

// PutQueue makes a queue, or changes the settings given.
func (c *Client) PutQueue(ctx context.Context, queue string, settings QueueSettings) (*QueueReport, error) {
	return put[QueueReport](ctx, c, pathOf("queues", queue), settings)
}

// DeleteQueue removes a queue and its messages. With IfEmpty it returns an [*Error] with
// CodeQueueNotEmpty where there are any.
func (c *Client) DeleteQueue(ctx context.Context, queue string, query DeleteQueueQuery) error {
	r := request{method: http.MethodDelete, path: pathOf("queues", queue), query: query}
	return c.call(ctx, r, nil)
}

// Purge removes messages: all, or those that the request chooses. It refuses an empty list of IDs.
func (c *Client) Purge(ctx context.Context, queue string, chosen PurgeRequest) (*PurgeAnswer, error) {
	if err := checkIDs(chosen.IDs); err != nil {
		return nil, err
	}
	return post[PurgeAnswer](ctx, c, pathOf("queues", queue, "purge"), chosen)
}

// Redrive makes messages that died ready again: each at home, in the queue To, or where it is. It
// refuses an empty list of IDs, and a RatePerSecond, for which there is StartRedrive.
func (c *Client) Redrive(ctx context.Context, queue string, chosen RedriveRequest) (*RedriveAnswer, error) {
	if err := checkIDs(chosen.IDs); err != nil {
		return nil, err
	}
	if chosen.RatePerSecond != 0 {
		return nil, errors.New("holdfast: a redrive with RatePerSecond is a task. Use StartRedrive")
	}
	return post[RedriveAnswer](ctx, c, pathOf("queues", queue, "redrive"), chosen)
}

// StartRedrive starts a redrive that keeps to RatePerSecond, and returns its task. It refuses an empty
// list of IDs, and a request without a rate.
func (c *Client) StartRedrive(ctx context.Context, queue string, chosen RedriveRequest) (string, error) {
	if err := checkIDs(chosen.IDs); err != nil {
		return "", err
	}
	if chosen.RatePerSecond == 0 {
		return "", errors.New(
			"holdfast: StartRedrive needs a RatePerSecond. Without one, use Redrive",
		)
	}
	answer, err := post[struct{ Task string }](ctx, c, pathOf("queues", queue, "redrive"), chosen)
	if err != nil {
		return "", err
	}
	return answer.Task, nil
}

// Redrives returns the redrives of a queue that keep to a rate, the newest first.
func (c *Client) Redrives(ctx context.Context, queue string) ([]RedriveTask, error) {
	answer, err := get[RedriveList](ctx, c, pathOf("queues", queue, "redrives"), nil)
	if err != nil {
		return nil, err
	}
	return answer.Redrives, nil
}

// StopRedrive stops a redrive with a rate. What it has done stays done.
func (c *Client) StopRedrive(ctx context.Context, queue, task string) error {
	return c.remove(ctx, "queues", queue, "redrives", task)
}

// Retry makes delayed and backing-off messages ready now. It refuses an empty list of IDs.
func (c *Client) Retry(ctx context.Context, queue string, chosen RetryRequest) (*RetryAnswer, error) {
	if err := checkIDs(chosen.IDs); err != nil {
		return nil, err
	}
	return post[RetryAnswer](ctx, c, pathOf("queues", queue, "retry"), chosen)
}

// Publish stores a copy of the message in every queue whose subscription matches, and returns the
// copies. An empty list says that nobody got the message. It is safe to repeat, as Enqueue is.
func (c *Client) Publish(ctx context.Context, topic string, message Publication) ([]Copy, error) {
	message.IdempotencyKey = keyOr(message.IdempotencyKey)
	return copies(post[PublishAnswer](ctx, c, pathOf("topics", topic, "messages"), message))
}

// PublishMany publishes 1 to 1000 messages. All their copies are stored, or none.
func (c *Client) PublishMany(ctx context.Context, topic string, messages []Publication) ([]Copy, error) {
	keyed := make([]Publication, len(messages))
	for i, message := range messages {
		message.IdempotencyKey = keyOr(message.IdempotencyKey)
		keyed[i] = message
	}
	list := map[string]any{"messages": keyed}
	return copies(post[PublishAnswer](ctx, c, pathOf("topics", topic, "messages"), list))
}

// PublishRaw publishes bytes, as EnqueueRaw stores them.
func (c *Client) PublishRaw(
	ctx context.Context, topic string, body []byte, contentType string, options RawPublication,
) ([]Copy, error) {
	options.IdempotencyKey = keyOr(options.IdempotencyKey)
	path := pathOf("topics", topic, "messages")
	return copies(raw[PublishAnswer](ctx, c, path, body, contentType, options))
}

// Subscribe subscribes a queue to a topic, or changes the pattern. It makes the queue if there is none.
func (c *Client) Subscribe(
	ctx context.Context, topic, queue string, change SubscriptionChange,
) (*Subscription, error) {
	return put[Subscription](ctx, c, pathOf("topics", topic, "subscriptions", queue), change)
}

// Unsubscribe ends a subscription. Copies that the queue holds stay.
func (c *Client) Unsubscribe(ctx context.Context, topic, queue string) error {
	return c.remove(ctx, "topics", topic, "subscriptions", queue)
}

// Topics returns a page of topics, by name.
func (c *Client) Topics(ctx context.Context, query TopicsQuery) (*TopicList, error) {
	return get[TopicList](ctx, c, "/topics", query)
}

// Topic returns the subscriptions of a topic.
func (c *Client) Topic(ctx context.Context, topic string) (*Topic, error) {
	return get[Topic](ctx, c, pathOf("topics", topic), nil)
}

// DeleteTopic ends all subscriptions of a topic.
func (c *Client) DeleteTopic(ctx context.Context, topic string) error {
	return c.remove(ctx, "topics", topic)
}

// Push returns the push of a queue, and its last deliveries. It returns an [*Error] with
// CodePushNotFound where there is none.
func (c *Client) Push(ctx context.Context, queue string) (*PushReport, error) {
	return get[PushReport](ctx, c, pathOf("queues", queue, "push"), nil)
}

// PutPush has a queue delivered to an endpoint, or changes what is given. The answer to a new push has
// its Secret.
func (c *Client) PutPush(ctx context.Context, queue string, change PushChange) (*Push, error) {
	return put[Push](ctx, c, pathOf("queues", queue, "push"), change)
}

// DeletePush delivers the queue no more. Its messages stay.
func (c *Client) DeletePush(ctx context.Context, queue string) error {
	return c.remove(ctx, "queues", queue, "push")
}

// TestPush sends a test to the endpoint, and returns what came of it. It returns an [*Error] with
// CodePushNotFound where there is no push.
func (c *Client) TestPush(ctx context.Context, queue string) (*PushTest, error) {
	return post[PushTest](ctx, c, pathOf("queues", queue, "push", "test"), nil)
}

// RotatePush makes a new Secret, shown this once. There is one try, because a second rotation would end
// the old secret.
func (c *Client) RotatePush(ctx context.Context, queue string) (*PushRotated, error) {
	path := pathOf("queues", queue, "push", "rotate")
	return answerOf[PushRotated](ctx, c, request{method: http.MethodPost, path: path, once: true})
}

// Schedules returns a page of schedules, by name, without their messages.
func (c *Client) Schedules(ctx context.Context, query PageQuery) (*ScheduleList, error) {
	return get[ScheduleList](ctx, c, "/schedules", query)
}

// Schedule returns a schedule with its message and its next times.
func (c *Client) Schedule(ctx context.Context, name string) (*Schedule, error) {
	return get[Schedule](ctx, c, pathOf("schedules", name), nil)
}

// PutSchedule makes a schedule, or changes what is given.
func (c *Client) PutSchedule(ctx context.Context, name string, change ScheduleChange) (*Schedule, error) {
	return put[Schedule](ctx, c, pathOf("schedules", name), change)
}

// RunSchedule enqueues a schedule's message once more. Without an idempotency key the client makes one,
// so that it is safe to repeat, as Enqueue is.
func (c *Client) RunSchedule(ctx context.Context, name, idempotencyKey string) (*Enqueued, error) {
	body := map[string]any{"idempotencyKey": keyOr(idempotencyKey)}
	return post[Enqueued](ctx, c, pathOf("schedules", name, "run"), body)
}

// DeleteSchedule removes a schedule. Its messages in the queue stay there.
func (c *Client) DeleteSchedule(ctx context.Context, name string) error {
	return c.remove(ctx, "schedules", name)
}

// Keys returns all API keys, without their secrets.
func (c *Client) Keys(ctx context.Context) ([]KeyInfo, error) {
	answer, err := get[struct{ Keys []KeyInfo }](ctx, c, "/keys", nil)
	if err != nil {
		return nil, err
	}
	return answer.Keys, nil
}

// CreateKey makes an API key. Its Secret is shown this once. There is one try, because a lost answer
// may have made a key.
func (c *Client) CreateKey(ctx context.Context, key KeyRequest) (*KeyMade, error) {
	r := request{method: http.MethodPost, path: "/keys", body: key, once: true}
	return answerOf[KeyMade](ctx, c, r)
}

// ChangeKey changes what an API key may do. The key itself stays as it is.
func (c *Client) ChangeKey(ctx context.Context, id string, change KeyChange) (*KeyInfo, error) {
	return put[KeyInfo](ctx, c, pathOf("keys", id), change)
}

// RevokeKey revokes an API key. It returns the schedules that the key owns, which stay. With
// PauseSchedules they are paused.
func (c *Client) RevokeKey(ctx context.Context, id string, query RevokeKeyQuery) ([]KeptSchedule, error) {
	r := request{method: http.MethodDelete, path: pathOf("keys", id), query: query}
	answer, err := answerOf[KeptSchedules](ctx, c, r)
	if err != nil {
		return nil, err
	}
	return answer.Schedules, nil
}

func (c *Client) settleMany(
	ctx context.Context, queue, verb, list string, items any,
) ([]Outcome, error) {
	body := map[string]any{list: items}
	answer, err := post[struct{ Outcomes []Outcome }](ctx, c, pathOf("queues", queue, verb), body)
	if err != nil {
		return nil, err
	}
	return answer.Outcomes, nil
}

func (c *Client) remove(ctx context.Context, parts ...string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: pathOf(parts...)}, nil)
}

func get[T any](ctx context.Context, c *Client, path string, query any) (*T, error) {
	return answerOf[T](ctx, c, request{method: http.MethodGet, path: path, query: query})
}

func put[T any](ctx context.Context, c *Client, path string, body any) (*T, error) {
	return answerOf[T](ctx, c, request{method: http.MethodPut, path: path, body: body})
}

func post[T any](ctx context.Context, c *Client, path string, body any) (*T, error) {
	return answerOf[T](ctx, c, request{method: http.MethodPost, path: path, body: body})
}

var isJSON = regexp.MustCompile(`(?i)^application/json\s*(;|$)`)

// raw sends bytes, with options in the query.
func raw[T any](
	ctx context.Context, c *Client, path string, body []byte, contentType string, options any,
) (*T, error) {
	if isJSON.MatchString(contentType) {
		return nil, errors.New(
			"holdfast: EnqueueRaw and PublishRaw take no JSON. Use Enqueue or Publish",
		)
	}
	if body == nil {
		body = []byte{}
	}
	r := request{
		method:      http.MethodPost,
		path:        path,
		query:       options,
		bytes:       body,
		contentType: contentType,
	}
	return answerOf[T](ctx, c, r)
}

func answerOf[T any](ctx context.Context, c *Client, r request) (*T, error) {
	var answer T
	if err := c.call(ctx, r, &answer); err != nil {
		return nil, err
	}
	return &answer, nil
}

func copies(answer *PublishAnswer, err error) ([]Copy, error) {
	if err != nil {
		return nil, err
	}
	return answer.Messages, nil
}

// checkIDs keeps a list that has become empty from standing for all messages.
func checkIDs(ids []string) error {
	if ids != nil && len(ids) == 0 {
		return errors.New(
			"holdfast: IDs is an empty list, which chooses nothing. Leave it nil to choose all",
		)
	}
	return nil
}
