package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// size is a number of bytes as people write it: 1.5G, powers of 1024.
type size int64

const units = "KMGTP"

func (s size) String() string {
	v, unit := float64(s), ""
	for i := 0; i < len(units) && (v >= 1024 || v <= -1024); i++ {
		v, unit = v/1024, units[i:i+1]
	}
	switch {
	case unit == "":
		return strconv.FormatInt(int64(s), 10) + "B"
	case v < 10 && v > -10:
		return fmt.Sprintf("%.1f%s", v, unit)
	}
	return fmt.Sprintf("%.0f%s", v, unit)
}

// Set reads a size: 500M, 2G, 1.5GiB, 1000000.
func (s *size) Set(text string) error {
	number := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(text), "B"), "I")
	factor := 1.0
	if i := strings.IndexByte(units, lastByte(number)); i >= 0 {
		number = number[:len(number)-1]
		for range i + 1 {
			factor *= 1024
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v > 0 && v*factor < 1<<62) {
		return fmt.Errorf("want a size such as 500M or 2G")
	}
	*s = size(v * factor)
	return nil
}

func lastByte(s string) byte {
	if s == "" {
		return 0
	}
	return s[len(s)-1]
}

// cutoff reads an age before now - 365d, 52w, 2y of 365 days, 36h - or a date such as 2024-01-01.
func cutoff(age string, now time.Time) (time.Time, error) {
	if day, err := time.ParseInLocation(time.DateOnly, age, now.Location()); err == nil {
		return day, nil
	}
	days := map[byte]int{'d': 1, 'w': 7, 'y': 365}[lastByte(age)]
	if days == 0 {
		if d, err := time.ParseDuration(age); err == nil && d >= 0 {
			return now.Add(-d), nil
		}
	} else if n, err := strconv.ParseUint(age[:len(age)-1], 10, 16); err == nil {
		return now.AddDate(0, 0, -int(n)*days), nil
	}
	return time.Time{}, fmt.Errorf("-older %q: want an age such as 365d, 52w, 2y or 36h, or a date such as 2024-01-01", age)
}
