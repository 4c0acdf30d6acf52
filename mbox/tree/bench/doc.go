// Command bench races copymail and the scanner of package mbox against what an administrator would use instead, on this
// machine, and says which of the project's promises hold.
//
//	go run ./mbox/tree/bench [-dir DIR] [-only first,nochange,...] [-rounds N] [-quick]
//
// It needs Linux, root for owners to be comparable, sshd, about 25 GB below -dir and an hour; -quick takes seconds, and
// its times mean nothing. The programs of a row take turns, five rounds, each as a whole process followed by one syncfs
// of the target's file system, which counts. A ratio is the median of those in each round. Both hosts of a row through ssh
// are this machine, with all its processors for both; in one row each host has a processor of its own. The caches are
// warm: the corpus has just been written or read. Peers that the machine does not have are named as absent; so is
// doveadm, which works as nobody (65534), where nobody has no way to -dir. The peak memory of a program counts from what
// this one has, about 20 MiB. Everything below -dir that it made is removed, on Ctrl-C too.
package main
