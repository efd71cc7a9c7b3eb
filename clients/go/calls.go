package holdfast

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	timeoutDefault  = 30 * time.Second
	retryForDefault = 30 * time.Second
	// The transport of net/http keeps two connections, and opens the others anew for each call.
	idleConnectionsMax = 1000
)

var httpClientDefault = &http.Client{
	Transport: transport(),
	// A redirect would turn a POST into a GET.
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func transport() *http.Transport {
	kept := http.DefaultTransport.(*http.Transport).Clone()
	kept.MaxIdleConns = idleConnectionsMax
	kept.MaxIdleConnsPerHost = idleConnectionsMax
	return kept
}

// request is what goes out with a call.
type request struct {
	method string
	path   string
	// query is a struct, encoded as its JSON names, or nil.
	query any
	// body is encoded as JSON, unless there are bytes.
	body        any
	bytes       []byte
	contentType string
	// wait is how long the service may take on purpose.
	wait time.Duration
	// once is for what a second try would do twice.
	once bool
}

// call repeats the request until it has an answer, or the time is up. It decodes the answer into the
// given pointer, or drops it where that is nil.
func (c *Client) call(ctx context.Context, r request, answer any) error {
	address, err := c.addressOf(r)
	if err != nil {
		return err
	}
	if r.bytes == nil && r.body != nil {
		if r.bytes, err = encode(r.body); err != nil {
			return fmt.Errorf("holdfast: the request cannot be encoded as JSON: %w", err)
		}
		r.contentType = "application/json"
	}
	retryFor := orDefault(c.RetryFor, retryForDefault)
	until := time.Now().Add(retryFor)
	for tries := 1; ; tries++ {
		err := c.attempt(ctx, r, address, answer)
		var failed *Error
		if !errors.As(err, &failed) || !failed.Passes() || ctx.Err() != nil || r.once {
			return err
		}
		pause := pauseAfter(tries, err)
		if !time.Now().Add(pause).Before(until) {
			return err
		}
		if !sleep(ctx, pause) {
			failed.cause = ctx.Err()
			return err
		}
	}
}

func (c *Client) addressOf(r request) (string, error) {
	base, err := url.Parse(c.URL)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		const help = "Give an address such as http://127.0.0.1:8080"
		return "", fmt.Errorf("holdfast: URL is %q. %s", c.URL, help)
	}
	address := strings.TrimRight(c.URL, "/") + r.path
	if r.query == nil {
		return address, nil
	}
	text, err := encode(r.query)
	if err != nil {
		return "", err
	}
	fields := map[string]any{}
	numbers := json.NewDecoder(bytes.NewReader(text))
	numbers.UseNumber()
	if err := numbers.Decode(&fields); err != nil {
		return "", err
	}
	query := url.Values{}
	for name, value := range fields {
		query.Set(name, fmt.Sprint(value))
	}
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	return address, nil
}

func (c *Client) attempt(ctx context.Context, r request, address string, answer any) error {
	trying, cancel := context.WithTimeout(ctx, orDefault(c.Timeout, timeoutDefault)+r.wait)
	defer cancel()
	sent, err := http.NewRequestWithContext(trying, r.method, address, bytes.NewReader(r.bytes))
	if err != nil {
		return err
	}
	sent.Header.Set("accept", "application/json")
	if r.contentType != "" {
		sent.Header.Set("content-type", r.contentType)
	}
	if c.Key != "" {
		sent.Header.Set("authorization", "Bearer "+c.Key)
	}
	client := c.HTTPClient
	if client == nil {
		client = httpClientDefault
	}
	response, err := client.Do(sent)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // without the address, which the error names already
		}
		return noAnswer(r.method, address, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return noAnswer(r.method, address, err)
	}
	if response.StatusCode >= 300 {
		return refusal(response.StatusCode, response.Header, text)
	}
	if answer == nil || len(text) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return noAnswer(r.method, address, err)
	}
	return nil
}

// encode leaves <, > and & as they are, because the service keeps a body as it was sent.
func encode(value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimRight(text.Bytes(), "\n"), err
}

// pathOf returns an address from its parts, each escaped.
func pathOf(parts ...string) string {
	var path strings.Builder
	for _, part := range parts {
		path.WriteString("/" + url.PathEscape(part))
	}
	return path.String()
}

// keyOr returns the idempotency key that was given, or a new one.
func keyOr(given string) string {
	if given != "" {
		return given
	}
	return hex.EncodeToString(randomBytes(16))
}

func orDefault(given, otherwise time.Duration) time.Duration {
	if given == 0 {
		return otherwise
	}
	return given
}

// sleep returns false when ctx is done before the time is over.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
