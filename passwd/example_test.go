package passwd_test

import (
	"fmt"

	"github.com/mailmove/mailmove/passwd"
)

func ExampleParse() {
	f := passwd.Parse("etc/passwd", []byte("root:x:0:0::/root:/bin/sh\n# people\nalice:x:01000:1000:Alice:/home/alice:/bin/sh\nbroken:x:ten:10:::\n"))
	u, ok := f.Lookup("alice")
	fmt.Println(u.UID, u.Home, ok)
	for _, p := range f.Problems() {
		fmt.Println(p)
	}
	u.Shell = "/bin/bash"
	if err := f.Set(u); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%s", f.Bytes())
	// Output:
	// 1000 /home/alice true
	// etc/passwd:4: uid "ten" is not a number from 0 to 4294967295: no program sees an account here
	// root:x:0:0::/root:/bin/sh
	// # people
	// alice:x:01000:1000:Alice:/home/alice:/bin/bash
	// broken:x:ten:10:::
}

func ExampleMerge() {
	old := &passwd.Host{
		Passwd: passwd.Parse("etc/passwd", []byte("root:x:0:0::/root:/bin/sh\nalice:x:500:500::/home/alice:/bin/bash\nbob:x:501:501::/home/bob:/bin/bash\n")),
		Group:  passwd.ParseGroup("etc/group", []byte("root:x:0:\nmail:x:12:\nalice:x:500:\nbob:x:501:\n")),
		Defs:   passwd.ParseDefs("etc/login.defs", []byte("UID_MIN 500\nGID_MIN 500\n")),
	}
	new := &passwd.Host{
		Passwd: passwd.Parse("etc/passwd", []byte("root:x:0:0::/root:/bin/bash\nadmin:x:1000:1000::/home/admin:/bin/bash\n")),
		Group:  passwd.ParseGroup("etc/group", []byte("root:x:0:\nmail:x:8:\nadmin:x:1000:\n")),
		Defs:   passwd.ParseDefs("etc/login.defs", []byte("UID_MIN 1000\nGID_MIN 1000\n")),
		Shells: []string{"/bin/bash"},
		Shadow: true, GShadow: true,
	}
	plan := passwd.Merge(old, new, nil)
	fmt.Print(plan)
	fmt.Println("mail boxes of group mail:", plan.GIDMap[12])
	for u := range plan.Migrated() {
		fmt.Printf("copy %s to %s for %d:%d\n", u.Home, u.ToHome, u.ToUID, u.ToGID)
	}
	// Output:
	// users: 0 added with their ids, 2 renumbered, 0 present, 0 left behind, 0 in conflict
	//   renumber  500-501 -> 1001-1002 (+501): alice, bob (not among 1000-60000, the people of the target)
	// groups: 2, of them 2 with the id of their user
	// gids of system accounts that have another number on the target; files of theirs get it: 12 -> 8
	// files that change: etc/group, etc/passwd
	// mail boxes of group mail: 8
	// copy /home/alice to /home/alice for 1001:1001
	// copy /home/bob to /home/bob for 1002:1002
}
