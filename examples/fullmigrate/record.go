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
	cutoverSteps  = []string{stepStopNew, stepStopOld, stepFinal, stepSwitch, stepClients, stepServes, stepFiles, stepFlush}
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
type outage struct{ stopped, clients, all time.Time } // the new host answered mail clients, and on all ports

func outageOf(history []run.Entry) (o outage) {
	for _, e := range history {
		switch {
		case e.Step == stepCutover && e.State == run.Undone:
			o = outage{}
		case e.Step == stepStopOld && e.State == run.Begun && o.stopped.IsZero():
			o.stopped = e.Time
		case e.Step == stepClients && e.State == run.Done && o.clients.IsZero():
			o.clients = e.Time
		case (e.Step == stepServes || e.Step == stepSwitch) && e.State == run.Done && o.all.IsZero():
			o.all = e.Time
		}
	}
	return o
}

// until is the length of the outage in seconds; 0 when it is not known.
func (o outage) until(t time.Time) float64 {
	if o.stopped.IsZero() || t.IsZero() {
		return 0
	}
	return math.Round(t.Sub(o.stopped).Seconds()*1000) / 1000
}
