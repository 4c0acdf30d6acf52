package passwd

// Added tells whether the plan adds the account to the target, under whatever uid.
func (u *UserChange) Added() bool { return u.Action == ActionAdd || u.Action == ActionRenumber }

// Added tells whether the plan adds the group to the target, under whatever gid.
func (g *GroupChange) Added() bool { return g.Action == ActionAdd || g.Action == ActionRenumber }

// Moves tells whether the group is on the target once the plan has been applied.
func (g *GroupChange) Moves() bool { return g.Added() || g.Action == ActionPresent }

// SystemDir tells whether a clean absolute path is a directory of the system (hier(7)) or lies in a tree that holds no
// homes, such as /etc: Merge takes no such home, and a caller that follows links asks again for where they lead.
func SystemDir(path string) bool { return systemDir(path) }
