package mbox

import "syscall"

const openNoatime = syscall.O_NOATIME
