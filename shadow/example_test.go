package shadow_test

import (
	"errors"
	"fmt"

	"github.com/mailmove/mailmove/shadow"
)

const aliceLine = "alice:$6$rounds=5000$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/O6IND4WQhG.:19000:0:99999:7:::\n"

func ExampleVerify() {
	file := shadow.Parse("etc/shadow", []byte(aliceLine))
	alice, _ := file.Lookup("alice")
	fmt.Println(alice.Hash)
	ok, err := shadow.Verify(alice.Hash.Reveal(), "secret")
	fmt.Println(ok, err)
	_, err = shadow.Verify(alice.Hash.Lock().Reveal(), "secret")
	fmt.Println(errors.Is(err, shadow.ErrLocked))
	// Output:
	// (sha512crypt)
	// true <nil>
	// true
}

func ExampleMerge() {
	old := &shadow.Host{Shadow: shadow.Parse("etc/shadow", []byte(aliceLine+"bob:!!:14700:0:99999:7::\n"))}
	target := &shadow.Host{
		Shadow: shadow.Parse("etc/shadow", []byte("root:*:19000:0:99999:7:::\n")),
		Group:  shadow.ParseGroup("etc/gshadow", []byte("sudo:*::\n")),
	}
	plan := shadow.Merge(old, target, &shadow.Options{
		Users:   []shadow.Rename{{From: "alice", To: "alice"}, {From: "bob", To: "bob"}},
		Groups:  []shadow.Rename{{From: "alice", To: "alice"}},
		Members: map[string][]string{"sudo": {"alice"}},
	})
	fmt.Print(plan)
	for path, content := range plan.Edits() {
		fmt.Println(path, len(content[0]), "bytes, then", len(content[1]))
	}
	// Output:
	// shadow: changes etc/gshadow, etc/shadow
	//   1 with locked
	//   1 with sha512crypt
	//   warning: etc/shadow:2: bob: libc cannot read the line on the old host: added locked, with no dates; its content was not used
	//   warning: etc/shadow:2: bob: the password is locked, and stays so
	// etc/gshadow 9 bytes, then 24
	// etc/shadow 26 bytes, then 175
}

func ExampleFile_Set() {
	file := shadow.Parse("etc/shadow", []byte("# by hand\nalice:!:014700:0:99999:7:::\n"))
	alice, _ := file.Lookup("alice")
	alice.Expire = "20000"
	fmt.Println(file.Set(alice))
	fmt.Printf("%s", file.Bytes())
	// Output:
	// <nil>
	// # by hand
	// alice:!:014700:0:99999:7::20000:
}
