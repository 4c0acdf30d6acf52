package main

import (
	"fmt"

	"github.com/mailmove/mailmove/dovecotconf"
	"github.com/mailmove/mailmove/internal/cli"
)

// printOne shows the settings in force of one configuration.
func printOne(c *cli.Call, protocol string, opt *dovecotconf.Options) error {
	config, err := dovecotconf.Read(c.Flags.Arg(0), opt)
	if err != nil {
		return err
	}
	p := config.Print(protocol)
	if err := c.Report(p, p); err != nil {
		return err
	}
	if config.Refused() {
		return fmt.Errorf("%s: Dovecot %s would refuse this", c.Flags.Arg(0), config.Version)
	}
	return nil
}
