package hostcmd

import "strings"

// hints say what to do about what ssh says; the first that fits counts. HOST stands for the destination. The words are
// those of OpenSSH 5 to 10, which is not translated.
var hints = []struct{ said, hint string }{
	{"REMOTE HOST IDENTIFICATION HAS CHANGED", "the key that HOST shows is not the one known here: somebody may be in between. Compare its fingerprint at HOST itself " +
		"(ssh-keygen -lf on its key); only if it is that host, forget the old key with ssh-keygen -R and connect once by hand"},
	{"Host key verification failed", "connect once by hand (ssh HOST), compare the fingerprint that it shows with the host's own, and accept it"},
	{"no matching host key type found", "HOST is as old as OpenSSH of 2010. In ~/.ssh/config here, for that host alone: " + ofOldHosts},
	{"no matching key exchange method found", "HOST is as old as OpenSSH of 2010. In ~/.ssh/config here, for that host alone: " + ofOldHosts},
	{"no matching cipher found", "HOST is as old as OpenSSH of 2010. In ~/.ssh/config here, for that host alone: Ciphers +aes128-cbc"},
	{"no matching MAC found", "HOST is as old as OpenSSH of 2010. In ~/.ssh/config here, for that host alone: MACs +hmac-sha1"},
	{"no mutual signature", "HOST knows only signatures of 2010. In ~/.ssh/config here, for that host alone: " + ofOldHosts},
	{"error in libcrypto", "the policy of this host forbids what HOST can do: update-crypto-policies --set LEGACY for the time of the migration, or use an ed25519 or ecdsa key there"},
	{"Too many authentication failures", "give the one key for that host in ~/.ssh/config: IdentityFile and IdentitiesOnly yes"},
	{"Permission denied", "put this user's public key into ~/.ssh/authorized_keys there (ssh-copy-id HOST); for root, PermitRootLogin in its sshd_config must allow keys. " +
		"A key with a passphrase needs ssh-agent"},
	{"Could not resolve hostname", "name the host as its DNS or /etc/hosts here does, or by its address"},
	{"Connection refused", "start sshd there, or give its port in ~/.ssh/config"},
	{"timed out", "is the host up, and does a firewall let port 22 through?"},
	{"No route to host", "is the host up, and does a firewall let port 22 through?"},
	{"Network is unreachable", "is the host up, and does a firewall let port 22 through?"},
	{"kex_exchange_identification", "sshd there closed the connection at once: its log says why (MaxStartups, hosts.deny, fail2ban?)"},
}

const ofOldHosts = "HostKeyAlgorithms +ssh-rsa, PubkeyAcceptedAlgorithms +ssh-rsa, KexAlgorithms +diffie-hellman-group14-sha1"

func hint(dest, said string) string {
	for _, h := range hints {
		if strings.Contains(said, h.said) {
			return strings.ReplaceAll(h.hint, "HOST", dest)
		}
	}
	return ""
}
