package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/mailmove/mailmove/internal/scripts"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"copymail": main, "mailmove": main}) // mailmove: placed on another host
}

func TestScripts(t *testing.T) {
	testscript.Run(t, scripts.Params("testdata"))
}
