package holdfast_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast"
)

// step is one of test/clients/scenario.json, which every client runs.
type step struct {
	Call     string
	Topic    string
	Queue    string
	ID       string
	Schedule string
	Task     string
	// Key is the API key of the caller.
	Key  string
	With map[string]any
	List []any
	// Gives is a part of the answer. "*" is any value.
	Gives   any
	Refuses holdfast.Code
	As      string
}

func TestScenario(t *testing.T) {
	file := os.Getenv("HOLDFAST_SCENARIO")
	if file == "" {
		t.Skip("set HOLDFAST_SCENARIO to the scenario, and HOLDFAST_URL to an empty service")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var steps []any
	if err := json.Unmarshal(text, &steps); err != nil {
		t.Fatal(err)
	}
	url := os.Getenv("HOLDFAST_URL")
	saved := map[string]any{"service": map[string]any{"url": url}}
	for i, written := range steps {
		var s step
		recode(t, filled(written, saved), &s)
		about := fmt.Sprintf("%d. %s", i+1, s.Call)
		answer, err := perform(t, &holdfast.Client{URL: url, Key: s.Key, RetryFor: -1}, s)
		if holdfast.CodeOf(err) != s.Refuses || (err != nil && s.Refuses == "") {
			t.Fatalf("%s: %v", about, err)
		}
		if s.Gives != nil && !fits(s.Gives, answer) {
			t.Fatalf("%s gave %v", about, answer)
		}
		if s.As != "" {
			saved[s.As] = answer
		}
	}
	t.Logf("%d steps", len(steps))
}

// perform calls the method that the step names. Its strings are the names of the step, and its struct,
// list or wait is what the step sends. What the method cannot take fails the test.
func perform(t *testing.T, client *holdfast.Client, s step) (any, error) {
	method := reflect.ValueOf(client).MethodByName(strings.ToUpper(s.Call[:1]) + s.Call[1:])
	if !method.IsValid() {
		t.Fatalf("there is no method %s", s.Call)
	}
	names := []any{}
	for _, name := range []any{s.Topic, s.Queue, s.ID, s.Schedule, s.Task, s.With["receipt"]} {
		if name != "" && name != nil {
			names = append(names, name)
		}
	}
	args := []reflect.Value{reflect.ValueOf(context.Background())}
	_, isTaken := s.With["receipt"]
	for i := 1; i < method.Type().NumIn(); i++ {
		arg := reflect.New(method.Type().In(i))
		switch kind := arg.Elem().Kind(); {
		case kind == reflect.String && len(names) > 0:
			arg.Elem().Set(reflect.ValueOf(names[0]))
			names = names[1:]
		case kind == reflect.Struct && s.With != nil:
			recode(t, s.With, arg.Interface())
			isTaken = true
		case arg.Type() == reflect.TypeOf(new(time.Duration)) && s.With != nil:
			arg.Elem().SetInt(int64(s.With["waitSeconds"].(float64) * float64(time.Second)))
			isTaken = true
		case kind == reflect.Slice:
			recode(t, listOf(s), arg.Interface())
		}
		args = append(args, arg.Elem())
	}
	if len(s.With) > 0 && !isTaken {
		t.Fatalf("%s takes nothing of %v", s.Call, s.With)
	}
	results := method.Call(args)
	err, _ := results[len(results)-1].Interface().(error)
	if err != nil || len(results) == 1 {
		return nil, err
	}
	var answer any
	recode(t, results[0].Interface(), &answer)
	return answer, nil
}

// listOf spells receipts as acks, which are structs in Go.
func listOf(s step) []any {
	items := append([]any{}, s.List...)
	for i, item := range items {
		if receipt, ok := item.(string); ok && s.Call == "ackMany" {
			items[i] = map[string]any{"receipt": receipt}
		}
	}
	return items
}

func recode(t *testing.T, from, to any) {
	t.Helper()
	text, err := json.Marshal(from)
	if err == nil {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		err = decoder.Decode(to)
	}
	if err != nil {
		t.Fatalf("%v: %v", from, err)
	}
}

// filled returns the value, with "$name.path" replaced by what an earlier step gave.
func filled(value any, saved map[string]any) any {
	switch value := value.(type) {
	case map[string]any:
		copied := map[string]any{}
		for name, each := range value {
			copied[name] = filled(each, saved)
		}
		return copied
	case []any:
		copied := []any{}
		for _, each := range value {
			copied = append(copied, filled(each, saved))
		}
		return copied
	case string:
		if !strings.HasPrefix(value, "$") {
			return value
		}
		var found any = saved
		for _, part := range strings.Split(value[1:], ".") {
			if list, ok := found.([]any); ok {
				index, _ := strconv.Atoi(part)
				found = list[index]
			} else {
				found = found.(map[string]any)[part]
			}
		}
		return found
	}
	return value
}

func fits(expected, actual any) bool {
	switch expected := expected.(type) {
	case map[string]any:
		fields, ok := actual.(map[string]any)
		for name, each := range expected {
			ok = ok && fits(each, fields[name])
		}
		return ok
	case []any:
		items, ok := actual.([]any)
		if !ok || len(items) != len(expected) {
			return false
		}
		for i, each := range expected {
			ok = ok && fits(each, items[i])
		}
		return ok
	}
	return expected == actual || (expected == "*" && actual != nil)
}
