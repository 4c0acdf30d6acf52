// Package mailmove moves the people of a Unix mail server - their accounts, their mail, their address - from an old host
// to a new one, so that no mail client notices. This package itself holds nothing but this page; the work is done by six
// packages that know nothing of each other, and examples/ shows how they are put together.
//
// # What is moved
//
//   - passwd and shadow: the user accounts of /etc/passwd, group, shadow and gshadow, merged into the files of a host that
//     has accounts of its own. Its system accounts are never touched; ids that are taken change, and a map says how.
//   - mbox and mbox/tree: homes and mail spools, with owners (through that map), modes, times, links, attributes and
//     whatever else users keep there, and a second pass that copies only what changed.
//   - dovecotconf: what POP3 and IMAP clients will see on the new server, known before the move.
//   - netcfg: the take-over of the old host's address by the new one.
//   - mx: whether mail waits, rather than bounces, while neither is reachable.
//
// # The promise
//
// Everything is planned, shown and refused before the first write. Bytes that are not meant to change do not change.
// Old bytes survive until new ones are durable, every write is atomic, and a run that was cut anywhere can be run again.
// No password hash and no mail content is ever printed.
//
// # The order of work
//
// Merge the accounts (passwd, shadow); compare the two Dovecots (dovecotconf); copy while the old host serves
// (mbox/tree); check that a second MX holds the mail (mx); stop the daemons and copy what changed since; take over the
// address (netcfg). examples/fullmigrate does it in this order.
package mailmove
