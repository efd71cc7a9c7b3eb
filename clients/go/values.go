package holdfast

import "encoding/json"

// Ptr returns a pointer to the value, for fields that may be left out: Priority: holdfast.Ptr(7).
func Ptr[T any](value T) *T {
	return &value
}

// Nullable is a setting to change, which may be null. Make one with [Value] or [Null].
type Nullable[T any] struct {
	value *T
}

// Value sets a setting that may be null: MaxDepth: holdfast.Value(1000).
func Value[T any](value T) *Nullable[T] {
	return &Nullable[T]{&value}
}

// Null sets a setting to null, which lifts a bound: MaxDepth: holdfast.Null[int]().
func Null[T any]() *Nullable[T] {
	return &Nullable[T]{}
}

// MarshalJSON encodes the value or null.
func (n Nullable[T]) MarshalJSON() ([]byte, error) {
	return json.Marshal(n.value)
}

// UnmarshalJSON decodes a value or null.
func (n *Nullable[T]) UnmarshalJSON(text []byte) error {
	return json.Unmarshal(text, &n.value)
}
