package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// plain quotes a name that would not be itself on a terminal.
func plain(name string) string {
	if q := strconv.QuoteToASCII(name); q != `"`+name+`"` || strings.Contains(name, " ") {
		return q
	}
	return name
}

func section(title, text string) string {
	if text = strings.TrimSpace(text); text == "" {
		return ""
	}
	return title + ":\n  " + strings.ReplaceAll(text, "\n", "\n  ") + "\n"
}

func size(n int64) string {
	f, unit := float64(n), "B"
	for _, u := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f < 1024 {
			break
		}
		f, unit = f/1024, u
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}
