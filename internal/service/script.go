package service

// prelude defines what all scripts share. It needs a POSIX shell alone; loops over /proc start no program, for there may
// be thousands of processes.
const prelude = `
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; LC_ALL=C; export PATH LC_ALL; unset CDPATH IFS
has() { command -v "$1" >/dev/null 2>&1; }
# comm PID: sets c to the name of a process that lives and is of this host, not of a container on it
comm() {
	c=; s=
	{ read -r s <"/proc/$1/stat"; } 2>/dev/null || return 1
	case ${s##*)} in ' Z'*|' X'*) return 1;; esac
	c=${s#*(}; c=${c%)*}
	[ "/proc/$1/root/" -ef / ]
}
# pidfiles NAME: sets f
pidfiles() {
	case $1 in
	dovecot) f='/run/dovecot/master.pid /var/run/dovecot/master.pid';;
	postfix) f='/var/spool/postfix/pid/master.pid';;
	sendmail) f='/run/sendmail.pid /var/run/sendmail.pid /run/sendmail/mta/sendmail.pid /var/run/sendmail/mta/sendmail.pid';;
	sm-client) f='/run/sm-client.pid /var/run/sm-client.pid /run/sendmail/msp/sendmail.pid /var/run/sendmail/msp/sendmail.pid';;
	exim) f='/run/exim4/exim.pid /var/run/exim4/exim.pid /run/exim.pid /var/run/exim.pid /var/spool/exim/exim-daemon.pid';;
	fetchmail) f='/run/fetchmail.pid /var/run/fetchmail.pid /run/fetchmail/fetchmail.pid /var/run/fetchmail/fetchmail.pid';;
	esac
}
# rooted PID: does it belong to root, and was it root who started it
rooted() {
	u=
	{ while read -r k v rest; do [ "$k" != Uid: ] || u=$v; done <"/proc/$1/status"; } 2>/dev/null
	[ "$u" = 0 ]
}
# belongs NAME PID: is c, its name, that of a process of that service. Everybody may call a process so: of a service that has
# no user of its own it must be root's.
belongs() {
	case $1:$c in
	dovecot:dovecot|postfix:master|sendmail:sendmail*) rooted "$2";;
	sm-client:sendmail*|exim:exim*|fetchmail:fetchmail*) ;;
	*) return 1;;
	esac
}
# filed NAME: sets p to the main process that its pid file names
filed() {
	pidfiles "$1"
	for x in $f; do
		p=
		{ read -r p rest <"$x"; } 2>/dev/null || [ -n "$p" ] || continue
		case $p in ''|*[!0-9]*) continue;; esac
		comm "$p" && belongs "$1" "$p" && return 0
	done
	p=
	return 1
}
# named PID: sets is to the service whose main process it is, by c, its name, where that is plain enough
named() {
	case $c in dovecot) is=dovecot;; master) is=postfix;; *) return 1;; esac
	belongs $is "$1" || return 1
	[ $is = dovecot ] && return 0
	case $(readlink "/proc/$1/exe" 2>/dev/null) in */postfix/*) return 0;; esac
	return 1
}
# main NAME: sets p to the main process, by its pid file, else by its name
main() {
	filed "$1" && return 0
	case $1 in dovecot|postfix) ;; *) return 1;; esac
	for x in /proc/[0-9]*/stat; do
		p=${x#/proc/}; p=${p%/stat}
		comm "$p" && named "$p" && [ $is = "$1" ] && return 0
	done
	p=
	return 1
}
clean() { tr '\n\t' '??'; }
# ending PID: a main process of Dovecot that was told to end sleeps until its processes have, its log the last, and starts nothing
# any more (services_monitor_wait of master/service-monitor.c). One at work never sleeps: it waits for events.
ending() {
	w=
	{ read -r w <"/proc/$1/wchan"; } 2>/dev/null
	case $w in *nanosleep*) return 0;; *) return 1;; esac
}
pause() { sleep 0.02 2>/dev/null || sleep 1; }
# fds EXPRESSION: find on what the processes have open; those of a large host do not fit into one command line: nothing runs then
fds() {
	find /proc/[0-9]*/fd "$@" 2>/dev/null
	[ $? = 126 ] || return 0
	find /proc -noleaf -maxdepth 1 -name '[0-9]*' -printf '%p/fd\0' 2>/dev/null | xargs -0 -r sh -c '
		n=$1; shift
		while [ "$n" -gt 0 ]; do set -- "$@" "$1"; shift; n=$((n - 1)); done
		exec find "$@"' sh $# "$@" 2>/dev/null
}
`

// findScript prints what there is, a line a fact.
const findScript = `# look at the mail services
` + prelude + `
ports='0019|006E|008F|01D1|024B|03E1|03E3'
units='dovecot postfix sendmail sm-client exim exim4 fetchmail'
init=programs
if [ -d /run/systemd/system ] && has systemctl; then init=systemd
elif has service; then init=service
elif [ -d /etc/init.d ]; then init=init.d
fi
echo "init $init"
has chkconfig && echo chkconfig
# words makes lines to words that a shell reads as they are
words() { sed "/^[-A-Za-z0-9_+.\/:,@%][-A-Za-z0-9_+.\/:,@%]*$/!{s/'/'\\\\''/g;s/.*/'&'/;}" | tr '\n' ' '; }
if [ $init = systemd ]; then
	all=; for u in $units; do all="$all $u.service"; done
	t=$(systemctl show -p TriggeredBy $all 2>/dev/null | sed -n 's/^TriggeredBy=//p')
	systemctl show -p Id -p LoadState -p ActiveState -p UnitFileState -p TriggeredBy $all $t 2>/dev/null | sed 's/^/unit /'
else
	for u in $units; do
		boot=
		for x in /etc/rc[2345].d/S[0-9][0-9]"$u"; do [ -e "$x" ] && boot=1; done
		run=
		if [ -x "/etc/init.d/$u" ] || [ -x "/etc/rc.d/init.d/$u" ]; then
			case $u in dovecot|postfix) ;; *) # whose processes are not told by their names
				if [ $init = service ]; then service "$u" status; else "/etc/init.d/$u" status; fi >/dev/null 2>&1 </dev/null && run=runs;;
			esac
			echo "script $u ${boot:-0} $run"
		elif [ $init = service ] && has "$u"; then
			service "$u" status >/dev/null 2>&1 </dev/null
			case $? in 0) echo "script $u ${boot:-0} runs";; 3) echo "script $u ${boot:-0}";; esac # LSB: 3 is not running
		fi
	done
fi
for n in dovecot postfix sendmail sm-client exim fetchmail; do
	main $n || continue
	if [ $n = dovecot ]; then # one that ends does not run: a start would take it for one that does
		last=$p # after its sleep, too, it takes a moment, in which it looks like one that runs
		ending "$p" || { pause; ending "$p"; } || { pause; ending "$p"; } || last=
		end=$(($(date +%s) + 10))
		while main $n && [ "$p" = "$last" ] && [ "$(date +%s)" -lt $end ]; do pause; done
		main $n || continue
	fi
	line=
	pidfiles $n
	if rooted "$p"; then # what it is started by will be run by root; of other users' processes nobody may take it over
		case $n in
		dovecot) line=$(readlink "/proc/$p/exe"); line=$(printf '%s\n' "${line% (deleted)}" | words);;
		postfix) line='postfix start';;
		sendmail|sm-client) # writes its command line into its pid file, and over its arguments
			for x in $f; do { read -r q && [ "$q" = "$p" ] && read -r line; } <"$x" && break; done 2>/dev/null;;
		*) line=$(tr '\0' '\n' <"/proc/$p/cmdline" | words);;
		esac
	fi
	printf 'process %s %s %s\n' $n "$p" "$line"
done
# who serves mail ports to others: the sockets of /proc/net/tcp, and whose they are
set --
for x in /proc/net/tcp /proc/net/tcp6; do
	[ -r $x ] || continue
	while read -r n l r st q1 q2 q3 uid q4 ino rest; do
		[ "$st" = 0A ] || continue
		case $l in 0100007F:*|00000000000000000000000001000000:*) continue;; esac
		case "|$ports|" in *"|${l##*:}|"*) echo "listen ${l##*:} $ino"; set -- "$@" -o -lname "socket:\[$ino\]";; esac
	done <$x
done
if [ $# -gt 0 ]; then
	shift
	fds "$@" | while read -r x; do
		q=${x#/proc/}; q=${q%%/*}
		comm "$q" || continue
		i=$(readlink "$x") || continue
		i=${i#*\[}; printf 'owner %s %s %s\n' "${i%]}" "$q" "$(printf %s "$c" | clean)"
	done
fi
grep -lE '(fetchmail|getmail|mpop|fdm)' /var/spool/cron/* /var/spool/cron/crontabs/* /etc/crontab /etc/cron.d/* 2>/dev/null | sed 's/^/cron /'
exit 0
`

// quietScript defines quiet, which waits until nobody writes to a mailbox any more: no main process of the services in names,
// no mail program, and nobody who has one of the files open for writing that the arguments of find name.
const quietScript = prelude + `
# mains [BY]: sets m to those that live, as BY finds them: main, or filed, which looks through no processes
mains() {
	m=
	for n in $names; do
		${1:-main} $n || continue
		if [ $n = dovecot ] && ending "$p"; then
			[ $told = 0 ] || hurry
			[ $harmless = 0 ] || continue # it can do no harm any more
		fi
		m="${m}main $p $n
"
	done
}
# hurry: a session of Dovecot that was about to begin when its main process, p, was told to end waits for five seconds for one
# that is gone already (stats_client_wait_handshake). It ends at once when it is told by itself, as systemd does.
hurry() {
	for x in /proc/[0-9]*/stat; do
		q=${x#/proc/}; q=${q%/stat}
		comm "$q" || continue
		case $c in imap|pop3) ;; *) continue;; esac
		r=${s##*) ? }
		[ "${r%% *}" != "$p" ] || kill "$q" 2>/dev/null
	done
}
# others FIND-ARGS: prints who is busy besides m, main processes that no pid file names among them
others() {
	for x in /proc/[0-9]*/stat; do
		q=${x#/proc/}; q=${q%/stat}
		comm "$q" || continue
		case $c in
		dovecot|master)
			named "$q" || continue
			case " $names " in *" $is "*) ;; *) continue;; esac
			case $m in *"main $q "*) continue;; esac
			if [ $is = dovecot ] && ending "$q"; then
				p=$q
				[ $told = 0 ] || hurry
				[ $harmless = 0 ] || continue
				q=$p
			fi
			printf 'main %s %s\n' "$q" $is;;
		imap|pop3|lmtp|deliver|dovecot-lda|local|virtual|pipe|procmail|maildrop|mail.local)
			case $(readlink "/proc/$q/exe" 2>/dev/null) in
			*/dovecot/*|*/postfix/*|*/procmail*|*/maildrop*|*/mail.local*) printf 'agent %s %s\n' "$q" "$c";;
			esac;;
		esac
	done
	[ $# -eq 0 ] || fds \( "$@" \) | while read -r x; do
		q=${x#/proc/}; n=${q##*/}; q=${q%%/*}; w=
		while read -r k v; do [ "$k" = flags: ] && w=$v; done <"/proc/$q/fdinfo/$n"
		case $w in *[1256]) l=$(readlink "$x") && comm "$q" && # closed meanwhile: no writer
			printf 'writer %s %s %s\n' "$q" "$(printf %s "$c" | clean | tr ' ' '?')" "$(printf %s "$l" | clean)";;
		esac
	done 2>/dev/null
}
# quiet SECONDS FIND-ARGS: waits until nobody is busy; else says who is
quiet() {
	end=$(($(date +%s) + $1)) rounds=0; shift
	while :; do
		mains filed
		if [ -z "$m" ]; then
			if [ $only = 1 ]; then mains; who=$m; else who=$(others "$@"); fi
			[ -n "$who" ] || return 0
		fi
		rounds=$((rounds + 1))
		[ $((rounds % 10)) -gt 0 ] || [ "$(date +%s)" -lt $end ] || break
		pause
	done
	mains; printf %s "$m"
	[ $only = 1 ] || others "$@"
}
`

// writersScript: FIND-ARGS. Who has a mailbox open for writing, or serves one, and does not end when the services of names are
// stopped: no daemon is among those that it descends from, and it is no delivery, which ends by itself. Only who is found twice
// is named, a second apart: others are about to end.
const writersScript = `# look who writes to mailboxes
` + quietScript + `
names=$1 told=0 harmless=0 only=0; shift
mains
ends() { # PID
	q=$1
	while [ "$q" -gt 1 ]; do
		case $m in *"main $q "*) return 0;; esac
		comm "$q" || return 0
		case $c in procmail|maildrop|deliver|dovecot-lda|mail.local|exim*|sendmail*) return 0;; esac
		q=${s##*) ? }; q=${q%% *}
	done
	return 1
}
foreign() {
	others "$@" | while read -r l; do
		case $l in 'agent '*' imap'|'agent '*' pop3'|'writer '*) ;; *) continue;; esac
		q=${l#* }
		ends "${q%% *}" || printf '%s\n' "$l"
	done
}
first=$(foreign "$@")
[ -n "$first" ] || exit 0
sleep 1
foreign "$@" | while read -r l; do
	case "
$first
" in *"
$l
"*) printf '%s\n' "$l";; esac
done
exit 0
`

// runScript defines launch, which runs a command line in the background, whatever becomes of the connection.
const runScript = `
d=$(mktemp -d "${TMPDIR:-/tmp}/mailmove.XXXXXX") || exit 9
trap 'rm -rf "$d"' EXIT
i=0
launch() {
	i=$((i + 1))
	( trap '' HUP; sh -c "$1" >"$d/$i.out" 2>&1; echo $? >"$d/$i.rc" ) </dev/null >/dev/null 2>&1 &
}
# said: what went wrong with which command
said() {
	n=0
	while [ $n -lt $i ]; do
		n=$((n + 1)); rc=
		{ read -r rc <"$d/$n.rc"; } 2>/dev/null || rc=
		[ "$rc" = 0 ] || printf 'failed %s %s %s\n' $n "${rc:--}" "$(printf %s "$(tail -n 1 "$d/$n.out" 2>/dev/null)" | clean)"
	done
}
`

// stopScript: NAMES SECONDS WAIT HARMLESS ONLY COUNT LINE... FIND-ARGS. When a line comes on stdin: all commands at once; it ends as
// soon as everything is quiet, though a command may go on sleeping for a second as that of Postfix does. WAIT: there is a service
// of which no process is known, so that only its command tells. HARMLESS: a main process that does no more than end is not
// waited for. ONLY: it is enough that the main processes have ended.
const stopScript = `# stop the mail services
` + quietScript + runScript + `
names=$1 limit=$2 await=$3 harmless=$4 only=$5 count=$6 told=$6; shift 6
read -r go || exit 3 # given up, or nobody is there any more
while [ $count -gt 0 ]; do launch "$1"; shift; count=$((count - 1)); done
[ $await = 0 ] || wait
left=$(quiet "$limit" "$@")
[ -z "$left" ] || { printf '%s\n' "$left"; said; }
exit 0
`

// startScript: LINE... All commands at once; it ends when they have.
const startScript = `# start the mail services
` + prelude + runScript + `
for x; do launch "$x"; done
wait
said
exit 0
`
