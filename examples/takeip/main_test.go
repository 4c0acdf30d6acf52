package main

import (
	"os/exec"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mailmove/mailmove/internal/scripts"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"takeip": main})
}

func TestScripts(t *testing.T) {
	p := scripts.Params("testdata")
	known := p.Condition
	p.Condition = func(cond string) (bool, error) {
		if cond == "netns" {
			return exec.Command("unshare", "-Urn", "true").Run() == nil, nil
		}
		return known(cond)
	}
	testscript.Run(t, p)
}
