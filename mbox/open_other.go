//go:build !unix

package mbox

const openNonblock = 0
