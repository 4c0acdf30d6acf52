//go:build !linux

package mbox

const openNoatime = 0
