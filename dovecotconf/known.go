package dovecotconf

import (
	"strings"
)

// Settings inside the sections of 2.0 to 2.3, from doveconf -a and the settings structures of those versions.
var (
	serviceKeys   = wordSet(`name protocol type executable user group privileged_group extra_groups chroot drop_priv_before_exec process_min_avail process_limit client_limit service_count idle_kill vsz_limit`)
	listenerKeys  = wordSet(`path type mode user group`)
	inetKeys      = wordSet(`name type address protocol port ssl reuse_port haproxy`)
	namespaceKeys = wordSet(`name type separator prefix location alias_for inbox hidden list subscriptions ignore_on_failure disabled order`)
	mailboxKeys   = wordSet(`name auto special_use driver comment autoexpunge autoexpunge_max_mails`)
	passdbKeys    = wordSet(`name driver args default_fields override_fields mechanisms username_filter skip result_success result_failure result_internalfail deny pass master auth_verbose`)
	userdbKeys    = wordSet(`name driver args default_fields override_fields skip result_success result_failure result_internalfail auth_verbose`)
	sectionBools  = wordSet(`inbox hidden subscriptions ignore_on_failure disabled deny pass master drop_priv_before_exec reuse_port haproxy`)
)

// otherSettings belong to packages that were absent from the recorded servers.
var otherSettings = wordSet(`managesieve_max_line_length managesieve_client_workarounds managesieve_implementation_string
	managesieve_logout_format managesieve_max_compile_errors managesieve_sieve_capability managesieve_notify_capability
	imap_zlib_compress_level imap_compress_deflate_level mail_cache_min_mail_count mailbox_list_index_disable director_proxy_maybe`)

// sections2 tells what may stand in a section of 2.0 to 2.3; nil keys are free.
var sections2 = map[string]struct {
	keys map[string]bool
	subs string
}{
	"":          {nil, "namespace passdb userdb service plugin dict metric event_exporter"},
	"namespace": {namespaceKeys, "mailbox"}, "mailbox": {mailboxKeys, ""},
	"passdb": {passdbKeys, ""}, "userdb": {userdbKeys, ""},
	"service":       {serviceKeys, "unix_listener fifo_listener inet_listener"},
	"unix_listener": {listenerKeys, ""}, "fifo_listener": {listenerKeys, ""}, "inet_listener": {inetKeys, ""},
	"plugin": {nil, ""}, "dict": {nil, ""}, "metric": {nil, ""}, "event_exporter": {nil, ""},
}

// since21 are settings that 2.1 to 2.2 had and neither recorded neighbour has.
var since21 = wordSet(`auth_stats stats_carbon_interval ssl_protocols ssl_dh_parameters_length ssl_parameters_regenerate
	mail_shared_explicit_inbox director_username_hash imapc_host imapc_port imapc_user imapc_password imapc_ssl imapc_ssl_ca_dir`)

func knownRoot2(v release, key string) bool {
	_, ok := tableOf(v).defaults[key]
	if !ok && v.between(v21, v23) { // between two recorded versions: what either knows
		_, ok = tables()["2.3"].defaults[key]
		ok = ok || since21[key]
	}
	return ok || otherSettings[key]
}

// Lists of 2.4 that are written as words or as a block of names.
var listNames = wordSet(`mail_plugins protocols imap_id_send import_environment mail_log_events mail_log_fields passdb_fields
	userdb_fields auth_mechanisms auth_policy_request_attributes passdb_mechanisms_filter metric_fields oauth2_fields
	sieve_extensions sieve_global_extensions sieve_implicit_extensions sieve_plugins sieve_environment lua_settings
	mbox_read_locks mbox_write_locks pop3_client_workarounds imap_client_workarounds lmtp_client_workarounds
	login_plugins doveadm_allowed_commands fts_header_excludes fts_header_includes language_filters language_tokenizers
	plugin_settings auth_realms mail_access_groups login_trusted_networks login_socket_path request_attributes
	read_locks write_locks fields mechanisms_filter settings extra_groups auth_username_chars_list`)

// Filters of 2.4 that need a name and those that have none (all-settings.c: SETTING_DEFINE_FILTER kinds).
var (
	namedFilters = wordSet(`passdb userdb namespace mailbox service unix_listener fifo_listener inet_listener dict dict_map fs
		metric event_exporter language quota quota_warning sieve_script sieve_extlists_list fts push_notification
		metric_group_by mysql pgsql cassandra sqlite ldap_filter imapsieve_from crypt_global_private_key crypt_user_key_encryption_key
		dict_map_key_field dict_map_value_field execute metric_group_by_method`)
	plainFilters = wordSet(`mbox maildir sdbox mdbox imapc pop3c virtual auth_policy ssl_server ssl_client oauth2 doveadm
		fts_decoder_tika ssl_server_cert last_login_dict quota_clone mail_attribute acl_sharing_map mail_crypt imap_urlauth
		submission_relay lmtp_proxy dict_server mail_attachment fs_compress event_exporter_http_post http_post layout_fs
		layout_index layout_imapc trash welcome notify_status push_notification_ox
		doveadm_proxy_port doveadm_server layout_imapdir layout_maildir++ mail_ext_attachment mail_lua oauth2_local_validation passdb_imapc passdb_pam passdb_passwd passdb_passwd_file passdb_static quota_count quota_fs quota_imapc quota_maildir quota_over_status remote sieve_env_location_ms stats_server userdb_passwd userdb_passwd_file userdb_static`)
	filterPrefixes = []string{"passdb_", "userdb_", "layout_", "event_exporter_", "quota_", "sieve_", "fts_", "language_",
		"dict_", "acl_", "storage_", "mailbox_list_", "last_login_", "welcome_", "imapsieve_", "auth_oauth2", "push_notification_"}
)

// knownFilter tells whether 2.4 knows a block of this name.
func knownFilter(key string) bool {
	if namedFilters[key] || plainFilters[key] {
		return true
	}
	for _, p := range filterPrefixes {
		if strings.HasPrefix(key, p) {
			return true
		}
	}
	return false
}

// settings of 2.4 that exist in sections only.
var sectionOnly24 = wordSet(`mail_path mail_driver mail_inbox_path path driver`)
