package liveaddr

const ipPrelude = `PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; LC_ALL=C; export PATH LC_ALL; trap '' HUP
`

// lookScript prints the addresses, then "--", the routes, "--", the address that this connection goes to, and
// whether the addresses of each interface outlive the first of their network.
const lookScript = "# look at the addresses\n" + ipPrelude + `
ip -o address show || exit
echo --; ip route show; echo --
set -- $SSH_CONNECTION; echo "$3"
for x in /proc/sys/net/ipv4/conf/*/promote_secondaries; do
	d=${x#/proc/sys/net/ipv4/conf/}
	v=$(cat "$x" 2>/dev/null) && echo "${d%/*} $v" # the shell reads a byte at a time, and these files have but one reading
done
exit 0
`

// releaseScript: DEV PREFIX ... -- DEV PREFIX WORDS ... with the routes on stdin. The first are taken away; the others have to
// stay: a kernel that is not told otherwise deletes them with the first of their network, and the connection with them.
// Once begun it ends, whatever becomes of the connection.
const releaseScript = "# let go of the address\n" + ipPrelude + `
has() { ip -o addr show dev "$1" | grep -F " $2 " >/dev/null; }
while [ "$1" != -- ]; do
	{ echo 1 >"/proc/sys/net/ipv4/conf/$1/promote_secondaries"; } 2>/dev/null
	! has "$1" "$2" || ip addr del "$2" dev "$1" || exit
	shift 2
done
shift
while [ $# -gt 0 ]; do
	has "$1" "$2" || ip addr add "$2" dev "$1" $3
	shift 3
done
while read -r r; do ip route show | grep -Fx "$r" >/dev/null || ip route add $r; done 2>/dev/null
exit 0
`

// giveBackScript: DEV PREFIX WORDS KEEP ... -- DEV PREFIX WORDS ... with the routes on stdin. The first come back; the
// others, which were second to them, are taken away and put back at once, so that they are second again and the host speaks
// by the address that it spoke by.
const giveBackScript = "# have the address again\n" + ipPrelude + `
has() { ip -o addr show dev "$1" | grep -F " $2 " >/dev/null; }
came= keep=
while [ "$1" != -- ]; do
	has "$1" "$2" || { ip addr add "$2" dev "$1" $3 || exit; came="$came $1:$2"; }
	[ -z "$4" ] || keep="$keep $1:$4"
	shift 4
done
shift
while [ -n "$came" ] && [ $# -gt 0 ]; do
	ip addr del "$2" dev "$1" && ip addr add "$2" dev "$1" $3
	shift 3
done
while read -r r; do ip route show | grep -Fx "$r" >/dev/null || ip route add $r; done 2>/dev/null
for a in $came; do
	d=${a%%:*}; a=${a#*:}; a=${a%%/*}
	case $a in *:*) continue;; esac
	if command -v arping >/dev/null; then arping -U -c 2 -w 1 -I "$d" "$a"
	else # whoever is asked something by the address learns where it is
		g=$(ip route show | sed -n 's/^default via \([^ ]*\).*/\1/p;q')
		[ -z "$g" ] || { ip neigh flush to "$g"; ping -c 1 -w 1 -I "$a" "$g"; }
	fi
done >/dev/null 2>&1 </dev/null &
for a in $keep; do echo "${a##*:}" >"/proc/sys/net/ipv4/conf/${a%:*}/promote_secondaries"; done 2>/dev/null
exit 0
`

const takeScript = "# take the address\n" + ipPrelude + `
while [ $# -gt 0 ]; do
	if ! ip -o addr show | grep -F " ${2%/*}/" >/dev/null; then
		case $2 in
		*:*) ip addr add "$2" dev "$1" nodad || exit;;
		*) ip addr add "$2" brd + dev "$1" || exit;;
		esac
	fi
	shift 2
done
`

const dropScript = "# give the address away\n" + ipPrelude + `
while [ $# -gt 0 ]; do
	! ip -o addr show dev "$1" | grep -F " $2 " >/dev/null || ip addr del "$2" dev "$1" || exit
	shift 2
done
`
