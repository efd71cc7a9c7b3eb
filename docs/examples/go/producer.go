// A producer. It enqueues each argument, and reports it once the service has confirmed the commit.
//
//	go run docs/examples/go/producer.go "first message" "second message"
//
// QUEUE_URL     the queue (default http://127.0.0.1:8080/queues/work); the first message makes it
// HOLDFAST_KEY  an API key, where the service asks for one
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

var client = &http.Client{Timeout: 30 * time.Second}

func main() {
	for _, text := range os.Args[1:] {
		id, err := enqueue(map[string]string{"text": text})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println("enqueued", id)
	}
}

// enqueue returns the id of the committed message, after as many tries as it takes.
func enqueue(body any) (string, error) {
	key := make([]byte, 16)
	if _, err := rand.Read(key); err != nil {
		return "", err
	}
	// Every try has the same key. When an answer is lost, the next try is the same message.
	message, err := json.Marshal(map[string]any{
		"body":           body,
		"idempotencyKey": hex.EncodeToString(key),
	})
	if err != nil {
		return "", err
	}
	for {
		id, pause, err := post(message)
		if err == nil {
			return id, nil
		}
		if pause < 0 {
			return "", err
		}
		fmt.Fprintln(os.Stderr, "not confirmed, trying again:", err)
		time.Sleep(pause)
	}
}

// post makes one try. After an error it also returns when to try again; below 0: never.
func post(message []byte) (id string, pause time.Duration, err error) {
	request, err := http.NewRequest("POST", queueURL()+"/messages", bytes.NewReader(message))
	if err != nil {
		return "", -1, err
	}
	request.Header.Set("content-type", "application/json")
	if key := os.Getenv("HOLDFAST_KEY"); key != "" {
		request.Header.Set("authorization", "Bearer "+key)
	}
	response, err := client.Do(request)
	if err != nil {
		return "", time.Second, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return "", time.Second, err
	}
	if response.StatusCode >= 300 {
		err = fmt.Errorf("refused with %d: %s", response.StatusCode, text)
		if response.StatusCode != 429 && response.StatusCode < 500 {
			return "", -1, err
		}
		seconds, faulty := strconv.Atoi(response.Header.Get("retry-after"))
		if faulty != nil {
			seconds = 1
		}
		return "", time.Duration(seconds) * time.Second, err
	}
	var answer struct{ ID string }
	if err := json.Unmarshal(text, &answer); err != nil {
		return "", time.Second, err
	}
	return answer.ID, 0, nil
}

func queueURL() string {
	if url := os.Getenv("QUEUE_URL"); url != "" {
		return url
	}
	return "http://127.0.0.1:8080/queues/work"
}
