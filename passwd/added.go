package passwd

// Added tells whether the plan adds the account to the target, under whatever uid.
func (u *UserChange) Added() bool { return u.Action == ActionAdd || u.Action == ActionRenumber }

// Added tells whether the plan adds the group to the target, under whatever gid.
func (g *GroupChange) Added() bool { return g.Action == ActionAdd || g.Action == ActionRenumber }

// Moves tells whether the group is on the target once the plan has been applied.
func (g *GroupChange) Moves() bool { return g.Added() || g.Action == ActionPresent }
