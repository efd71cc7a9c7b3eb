package holdfast

// linesOf returns the messages of a lease in lines, in the order of the lease. The worker works on the
// messages of a line one after another. Without an order, each stands alone.
func linesOf(leased *Leased) [][]LeasedMessage {
	var lines [][]LeasedMessage
	places := map[string]int{}
	for _, message := range leased.Messages {
		group := message.Group
		if leased.Ordering == LeasedOrderingQueue {
			group = "all"
		}
		place, begun := places[group]
		if leased.Ordering == "" || group == "" {
			begun = false
		}
		if begun {
			lines[place] = append(lines[place], message)
			continue
		}
		places[group] = len(lines)
		lines = append(lines, []LeasedMessage{message})
	}
	return lines
}

// letsNextGo says whether the next of the line may be worked on: the message no longer stands before
// it.
func letsNextGo(outcome OutcomeName) bool {
	return outcome == OutcomeAcked || outcome == OutcomeDead || outcome == OutcomeGone
}
