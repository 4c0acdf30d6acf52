package tree

// Source is the file tree that a pass reads: a Dir of this host, or a Remote.
type Source interface{ isSource() }

// Dir is a directory of this host. Only this name itself may be a symbolic link.
type Dir string

func (Dir) isSource() {}
