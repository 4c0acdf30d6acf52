package netcfg_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/mailmove/mailmove/netcfg"
)

func ExampleParseHosts() {
	h := netcfg.ParseHosts("etc/hosts", []byte("127.0.0.1\tlocalhost\n192.0.2.20\tmail.example.org\tmail # here\n"))
	for _, e := range h.Entries() {
		if e.Names[0] == "mail.example.org" {
			if err := h.SetAddr(e.Line, netip.MustParseAddr("192.0.2.10")); err != nil {
				log.Fatal(err)
			}
		}
	}
	fmt.Printf("%s", h.Bytes())
	// Output:
	// 127.0.0.1	localhost
	// 192.0.2.10	mail.example.org	mail # here
}

func ExampleHosts_Check() {
	h := netcfg.ParseHosts("etc/hosts", []byte("127.0.0.1 localhost mail.example.org\n"))
	for _, f := range h.Check("mail.example.org", nil) {
		fmt.Println(f.Severity, f.Rule)
	}
	// Output:
	// fail NAME-LOOPBACK
	// warn NAME-MISSING
}

func ExampleParseIfcfg() {
	f := netcfg.ParseIfcfg("ifcfg-eth0", []byte("DEVICE=eth0\nIPADDR=\"192.0.2.20\"  # ours\nNAME=System eth0\n"))
	if err := f.Set("IPADDR", "192.0.2.10"); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", f.Bytes())
	fmt.Println(f.Set("NAME", "x"))
	for _, d := range f.Findings() {
		fmt.Println(d.Rule, d.Detail)
	}
	// Output:
	// DEVICE=eth0
	// IPADDR="192.0.2.10"  # ours
	// NAME=System eth0
	// ifcfg-eth0:3: NAME in a call of the program "eth0": not statically decidable
	// DIV-COMMAND ifcfg-eth0:3: NAME is nothing to bash and "" to NetworkManager
}

func ExampleParseKeyfile() {
	f := netcfg.ParseKeyfile("wired.nmconnection", []byte("[ipv4]\naddress1 = 192.0.2.20/24\n"))
	if err := f.Set("ipv4", "address1", "192.0.2.10/24,192.0.2.1"); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s", f.Bytes())
	// Output:
	// [ipv4]
	// address1 = 192.0.2.10/24,192.0.2.1
}

func ExampleTakeOver() {
	old := &netcfg.Host{Files: map[string][]byte{
		"etc/sysconfig/network-scripts/ifcfg-eth0": []byte("DEVICE=eth0\nHWADDR=52:54:00:00:00:01\nIPADDR=192.0.2.10\nNETMASK=255.255.255.0\n"),
	}}
	new := &netcfg.Host{Files: map[string][]byte{
		"etc/sysconfig/network-scripts/ifcfg-eth0": []byte("DEVICE=eth0\nHWADDR=52:54:00:00:00:02\nBOOTPROTO=none\nONBOOT=yes\nIPADDR=192.0.2.20\nNETMASK=255.255.255.0\n"),
	}}
	plan := netcfg.TakeOver(old, new, &netcfg.Options{Iface: "eth0"})
	fmt.Print(plan.Files[0].Diff)
	// Output:
	// --- a/etc/sysconfig/network-scripts/ifcfg-eth0
	// +++ b/etc/sysconfig/network-scripts/ifcfg-eth0
	// @@ -2,5 +2,5 @@
	//  HWADDR=52:54:00:00:00:02
	//  BOOTPROTO=none
	//  ONBOOT=yes
	// -IPADDR=192.0.2.20
	// +IPADDR=192.0.2.10
	//  NETMASK=255.255.255.0
}

// A whole take-over on two trees, and back.
func Example() {
	dir, err := os.MkdirTemp("", "takeover")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for host, addr := range map[string]string{"old": "192.0.2.10", "new": "192.0.2.20"} {
		scripts := filepath.Join(dir, host, "etc/sysconfig/network-scripts")
		if err := os.MkdirAll(scripts, 0o755); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(scripts, "ifcfg-eth0"), []byte("DEVICE=eth0\nIPADDR="+addr+"\nPREFIX=24\n"), 0o644); err != nil {
			log.Fatal(err)
		}
	}
	old, err := netcfg.ReadHost(filepath.Join(dir, "old"))
	if err != nil {
		log.Fatal(err)
	}
	new, err := netcfg.ReadHost(filepath.Join(dir, "new"))
	if err != nil {
		log.Fatal(err)
	}
	ctx, root := context.Background(), filepath.Join(dir, "new")
	plan := netcfg.TakeOver(old, new, &netcfg.Options{Iface: "eth0"})
	receipt, err := plan.Apply(ctx, root)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(receipt.Written, plan.Verify(ctx, root))
	fmt.Println(netcfg.Revert(ctx, root, receipt.Backup), plan.Verify(ctx, root))
	// Output:
	// [etc/sysconfig/network-scripts/ifcfg-eth0] <nil>
	// <nil> etc/sysconfig/network-scripts/ifcfg-eth0: neither as planned nor as wanted
}

// Before the address is taken, and after it.
func ExampleProbe() {
	ctx := context.Background()
	service, gateway := netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("192.0.2.1")
	answer, err := netcfg.Probe(ctx, "eth0", service, gateway)
	if err != nil {
		log.Fatal(err)
	}
	if answer.State != netcfg.Free {
		log.Fatalf("%v is %s %s", service, answer.State, answer.MAC)
	}
	// the administrator's tools give the address to eth0 here
	if _, err := netcfg.Announce(ctx, "eth0", service, netcfg.Schedule()...); err != nil {
		log.Fatal(err)
	}
}
