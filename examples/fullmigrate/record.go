package main

import (
	"math"
	"time"

	"github.com/mailmove/mailmove/internal/run"
	"github.com/mailmove/mailmove/internal/service"
	"github.com/mailmove/mailmove/mbox/tree"
)

// The steps of a cutover and of the way back, as the journal calls them. Each can be begun again after a crash.
const (
	stepCopied    = "copied" // a pass over everything has ended: a cutover can be thought of
	stepCutover   = "cutover"
	stepStopNew   = "stop new"
	stepStopIn    = "stop old transfer"
	stepStopOld   = "stop old"
	stepFinal     = "final pass"
	stepSwitch    = "switch"
	stepClients   = "answers mail clients" // the new host; within the switch
	stepServes    = "answers"
	stepFiles     = "address files"
	stepFlush     = "flush"
	stepRollback  = "rollback"
	stepBackStop  = "stop new again"
	stepBackMove  = "address back"
	stepBackStart = "start old"
	stepBackFiles = "address files back"
	stepBackKeep  = "keep mail"
	stepBackAdopt = "adopt"
	fileRecord    = "cutover.json"
)

// cutoverSteps and rollbackSteps are in the order of work.
var (
	cutoverSteps  = []string{stepStopNew, stepStopIn, stepStopOld, stepFinal, stepSwitch, stepClients, stepServes, stepFiles, stepFlush}
	rollbackSteps = []string{stepBackStop, stepBackMove, stepBackStart, stepBackFiles, stepBackKeep, stepBackAdopt}
)

// record is what a cutover found out before its first effect, and what a resume and the way back go by. Index 0 is the old
// host, 1 the new one.
type record struct {
	Version int               `json:"version"` // of this form, 1
	Began   time.Time         `json:"began"`
	Chosen  []string          `json:"chosen"` // flags that it goes by
	Ran     [2]*service.State `json:"ran"`    // what ran; null: the host is a file tree and runs nothing
	Next    *service.State    `json:"next"`   // what starts on the new host
	Mail    [2]service.Mail   `json:"mail"`
	Ports   []int             `json:"ports"` // that the new host must serve
	Trees   []ownTree         `json:"trees"`
	Move    *move             `json:"move"` // null: no address moves
	Domain  string            `json:"domain"`
	Backups []string          `json:"backups"` // exchangers that hold the domain's mail meanwhile
}

// ownTree is a home or an inbox and whose it is.
type ownTree struct {
	User string `json:"user"` // on the new host
	tree.Pair
}

// outage is what the journal tells of it, from before the first command on the old host. Zero is not known, or not yet.
type outage struct {
	began   time.Time // no mail comes in any more
	stopped time.Time // nor is it read
	clients time.Time // the new host answered mail clients
	all     time.Time // and on all ports
}

func outageOf(history []run.Entry) (o outage) {
	first := func(t *time.Time, e run.Entry) {
		if t.IsZero() {
			*t = e.Time
		}
	}
	for _, e := range history {
		switch {
		case e.Step == stepCutover && e.State == run.Undone:
			o = outage{}
		case e.State == run.Undone:
		case e.Step == stepStopIn:
			first(&o.began, e)
		case e.Step == stepStopOld:
			first(&o.began, e)
			first(&o.stopped, e)
		case e.Step == stepClients: // begun when they had their answer
			first(&o.clients, e)
		case e.Step == stepServes, e.Step == stepSwitch && e.State == run.Done:
			first(&o.all, e)
		}
	}
	return o
}

// forClients and forAll are its length in seconds for those who read mail, and until all was answered; 0 when it is not known.
func (o outage) forClients() float64 { return span(o.stopped, o.clients) }
func (o outage) forAll() float64     { return span(o.began, o.all) }

func span(from, to time.Time) float64 {
	if from.IsZero() || to.IsZero() {
		return 0
	}
	return math.Round(to.Sub(from).Seconds()*1000) / 1000
}
