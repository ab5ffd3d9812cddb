package schedule

import "fmt"

// Reason is why a worker or a hive is out of the question for a request.
type Reason uint8

// The reasons. Those up to waitable pass by themselves.
const (
	Loading   Reason = iota + 1 // the worker reads its model
	Doubted                     // it broke off, and its hive has not said yet how it is
	Coming                      // a worker is being started there
	Crowded                     // workers that are busy hold the memory
	Yielding                    // the worker finishes what it runs, and makes room for another model
	Clearing                    // workers there do so for this model
	Promised                    // they do so for another
	Divided                     // the model is divided elsewhere, and comes back
	Away                        // the hive, which has it divided, does not answer for a moment
	Failing                     // the worker has failed what another could do
	waitable                    // the last of those
	Running                     // the hive runs the model already
	Failed                      // the worker has ended
	Broken                      // its engine cannot be started again
	Hung                        // the worker does not answer
	Part                        // the worker holds a part of another one's model
	Tried                       // it has failed this request
	Drained                     // by `rbee hive drain`
	Down                        // the hive does not answer
	Elsewhere                   // another hive, engine or device was asked for
	TooLarge                    // for the hive's memory
	Pinned                      // pinned models hold the memory
	Missing                     // the hive has not got the model and cannot get it
	InTheWay                    // a worker that has failed it loads again, and holds the memory
	Cooling                     // a worker could not be started there a moment ago
	Refused                     // the hive would not start a worker for this request
)

// texts are the reasons' words for programs, and for people.
var texts = map[Reason]struct{ word, human string }{
	Loading:   {"loading", "it is loading the model"},
	Doubted:   {"doubted", "it broke an answer off a moment ago, and its hive has not said yet how it is"},
	Coming:    {"coming", "a worker is being started there"},
	Crowded:   {"crowded", "there is no room until a worker there falls idle"},
	Yielding:  {"yielding", "it finishes what it runs, and then makes room for another model"},
	Clearing:  {"clearing", "workers there finish what they run, and then make room for it"},
	Promised:  {"promised", "workers there finish what they run, and then make room for another model"},
	Divided:   {"divided", "the model is divided over others, and is put together again"},
	Away:      {"away", "it has the model divided with others, and does not answer at the moment"},
	Failing:   {"failing", "it failed a request a moment ago that another worker could do"},
	Running:   {"running", "it runs the model already"},
	Failed:    {"failed", "it has ended"},
	Broken:    {"broken", "its engine has ended and cannot be started again"},
	Hung:      {"hung", "it does not answer"},
	Part:      {"part", "it holds a part of another worker's model"},
	Tried:     {"tried", "it has failed this request"},
	Drained:   {"drained", "the hive is drained"},
	Down:      {"down", "the hive does not answer"},
	Elsewhere: {"elsewhere", "another hive, engine or device was asked for"},
	TooLarge:  {"too_large", "the model is larger than the hive's memory"},
	Pinned:    {"pinned", "pinned models hold its memory"},
	Missing:   {"missing", "it has not got the model, and nobody to get it from"},
	InTheWay:  {"in_the_way", "a worker that has failed this request holds its memory"},
	Cooling:   {"cooling", "a worker could not be started there a moment ago"},
	Refused:   {"refused", "it has not got what the worker needs"},
}

// String is the reason as a person reads it.
func (r Reason) String() string {
	if t, ok := texts[r]; ok {
		return t.human
	}
	return fmt.Sprintf("reason %d", uint8(r))
}
