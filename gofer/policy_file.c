/*
 * policy.yaml, splitsock-policy(5). Tables say which keys a mapping may have and who reads their values; whatever is not exactly as it
 * should be is an error with its place, and the policy is then none at all.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "gofer/policy_rule.h"

#define FILE_MAX (16u * 1024u * 1024u)
#define CLIENTS_MAX 256u
#define USERS_MAX 1024u
#define INTERFACES_MAX 64u
#define PACKET_SOCKETS_MAX 1024u
#define RING_BYTES_MAX (UINT64_C(1) << 30)
#define RATE_MAX (UINT64_C(1) << 40)
/* What the kernel takes, BPF_MAXINSNS. */
#define FILTER_MAX 4096u

/* Of what libpcap is told: all of a frame. */
#define SNAP_LENGTH 65535

/* ---- a packet grant ----------------------------------------------------------------------------- */

static int
read_interface(struct reading *reading, const struct tree_node *node, void *into)
{
	return read_interface_name(reading, node, ((struct packet_grant *)into)->interface);
}

static int
read_receive(struct reading *reading, const struct tree_node *node, void *into)
{
	return read_bool(reading, node, &((struct packet_grant *)into)->receive);
}

static int
read_send(struct reading *reading, const struct tree_node *node, void *into)
{
	return read_bool(reading, node, &((struct packet_grant *)into)->send);
}

static int
read_promiscuous(struct reading *reading, const struct tree_node *node, void *into)
{
	return read_bool(reading, node, &((struct packet_grant *)into)->promiscuous);
}

static int
read_ethertypes(struct reading *reading, const struct tree_node *node, void *into)
{
	return read_ethertype_list(reading, node, &((struct packet_grant *)into)->ethertypes);
}

static int
read_packet_protocols(struct reading *reading, const struct tree_node *node, void *into)
{
	struct packet_grant *grant = into;

	grant->protocols.any = false;
	return read_protocols(reading, node, &grant->protocols);
}

static int
read_source_mac(struct reading *reading, const struct tree_node *node, void *into)
{
	struct packet_grant *grant = into;

	return read_sources(reading, node, "hardware addresses", &grant->any_source_mac, &grant->source_macs, sizeof *grant->source_macs,
	                    &grant->source_mac_count, read_mac);
}

static int
read_packet_source_ip(struct reading *reading, const struct tree_node *node, void *into)
{
	struct packet_grant *grant = into;

	return read_sources(reading, node, "networks", &grant->any_source_ip, &grant->source_ips, sizeof *grant->source_ips,
	                    &grant->source_ip_count, read_network);
}

static int
compile_filter(struct reading *reading, const struct tree_node *node, pcap_t *pcap, struct sock_fprog *filter)
{
	struct bpf_program program;
	int error = 0;

	if (pcap_compile(pcap, &program, node->text, 1, PCAP_NETMASK_UNKNOWN) != 0)
		return wrong(reading, node, "%s", pcap_geterr(pcap));
	if (program.bf_len == 0 || program.bf_len > FILTER_MAX)
		error = wrong(reading, node, "this filter has %u instructions, and the kernel takes 1 to %u", program.bf_len, FILTER_MAX);
	else if (!(filter->filter = calloc(program.bf_len, sizeof *filter->filter)))
		error = no_memory(reading, node);
	for (unsigned i = 0; !error && i < program.bf_len; i++) {
		const struct bpf_insn *from = &program.bf_insns[i];

		filter->filter[i] = (struct sock_filter){from->code, from->jt, from->jf, from->k};
		filter->len = (unsigned short)(i + 1);
	}
	pcap_freecode(&program);
	return error;
}

static int
read_filter(struct reading *reading, const struct tree_node *node, void *into)
{
	struct packet_grant *grant = into;
	int error = expect_kind(reading, node, TREE_SCALAR);
	pcap_t *pcap;

	if (error)
		return error;
	/* Who writes the key wants a filter; to libpcap, an empty one passes everything. */
	if (!node->text[strspn(node->text, " \t\r\n")])
		return wrong(reading, node, "this filter is empty");
	pcap = pcap_open_dead(DLT_EN10MB, SNAP_LENGTH);
	if (!pcap)
		return no_memory(reading, node);
	error = compile_filter(reading, node, pcap, &grant->filter);
	pcap_close(pcap);
	return error;
}

static int
read_frames_per_second(struct reading *reading, const struct tree_node *node, void *into)
{
	return read_size(reading, node, true, 1, RATE_MAX, &((struct packet_grant *)into)->frames_per_second);
}

static int
read_bytes_per_second(struct reading *reading, const struct tree_node *node, void *into)
{
	return read_size(reading, node, true, 1, RATE_MAX, &((struct packet_grant *)into)->bytes_per_second);
}

static const struct key packet_keys[] = {
	{"interface", true, read_interface},
	{"receive", false, read_receive},
	{"send", false, read_send},
	{"promiscuous", false, read_promiscuous},
	{"ethertypes", true, read_ethertypes},
	{"protocols", false, read_packet_protocols},
	{"source_mac", false, read_source_mac},
	{"source_ip", false, read_packet_source_ip},
	{"filter", false, read_filter},
	{"frames_per_second", false, read_frames_per_second},
	{"bytes_per_second", false, read_bytes_per_second},
};

/* ---- a client ----------------------------------------------------------------------------------- */

static int
read_name(struct reading *reading, const struct tree_node *node, void *into)
{
	return read_plain_name(reading, node, &((struct policy_entry *)into)->name);
}

static int
read_user(struct reading *reading, const struct tree_node *node, struct policy_entry *entry)
{
	uint64_t uid;

	if (is_word(node, "*")) {
		entry->any_user = true;
		return 0;
	}
	if (node->kind != TREE_SCALAR || !*node->text)
		return wrong(reading, node, "a user's name or number is needed here");
	if (!is_number(node, &uid)) {
		const struct passwd *user = isdigit((unsigned char)*node->text) ? NULL : getpwnam(node->text);

		if (!user)
			return wrong(reading, node, "there is no user \"%.60s\"", node->text);
		uid = user->pw_uid;
	}
	/* The last is what calls return in place of a user. */
	if (uid >= UINT32_MAX)
		return wrong(reading, node, "a user's number is at most %u", UINT32_MAX - 1);
	entry->uids[entry->uid_count++] = uid;
	return 0;
}

static int
read_users(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_entry *entry = into;
	int error;

	if (is_word(node, "*")) {
		entry->any_user = true;
		return 0;
	}
	if (node->kind == TREE_SCALAR)
		return wrong(reading, node, "\"*\" or a list of users is needed here, not \"%.60s\"", node->text);
	error = expect_list(reading, node, USERS_MAX, "users");
	if (error)
		return error;
	entry->uids = calloc(node->count, sizeof *entry->uids);
	if (!entry->uids)
		return no_memory(reading, node);
	for (size_t i = 0; !error && i < node->count; i++)
		error = read_user(reading, node->items[i], entry);
	return error;
}

static int
read_client_sockets(struct reading *reading, const struct tree_node *node, void *into)
{
	return read_choice(reading, node, "none", "open", &((struct policy_entry *)into)->sockets);
}

static int
read_packet_sockets(struct reading *reading, const struct tree_node *node, void *into)
{
	uint64_t number = 0;
	int error = read_size(reading, node, false, 1, PACKET_SOCKETS_MAX, &number);

	((struct policy_entry *)into)->packet_sockets = (uint32_t)number;
	return error;
}

static int
read_raw_protocols(struct reading *reading, const struct tree_node *node, void *into)
{
	return read_protocols(reading, node, &((struct raw_grant *)into)->protocols);
}

static int
read_headers(struct reading *reading, const struct tree_node *node, void *into)
{
	return read_choice(reading, node, "none", "own", &((struct raw_grant *)into)->header);
}

static int
read_raw_source_ip(struct reading *reading, const struct tree_node *node, void *into)
{
	return read_choice(reading, node, "own", "any", &((struct raw_grant *)into)->any_source_ip);
}

static const struct key raw_keys[] = {
	{"protocols", true, read_raw_protocols},
	{"headers", false, read_headers},
	{"source_ip", false, read_raw_source_ip},
};

static int
read_raw(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_entry *entry = into;

	entry->raw.granted = true;
	return READ_MAPPING(reading, node, "a raw grant", raw_keys, &entry->raw);
}

static int
read_packet(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy_entry *entry = into;
	int error = expect_list(reading, node, INTERFACES_MAX, "packet grants");

	if (error)
		return error;
	entry->packet = calloc(node->count, sizeof *entry->packet);
	if (!entry->packet)
		return no_memory(reading, node);
	for (size_t i = 0; i < node->count; i++) {
		struct packet_grant *grant = &entry->packet[entry->packet_count++];

		grant->protocols.any = true;
		error = READ_MAPPING(reading, node->items[i], "a packet grant", packet_keys, grant);
		for (size_t j = 0; !error && j + 1 < entry->packet_count; j++)
			if (strcmp(entry->packet[j].interface, grant->interface) == 0)
				error = wrong(reading, node->items[i], "interface \"%s\" for the second time", grant->interface);
		if (error)
			return error;
	}
	return 0;
}

static int
read_agent(struct reading *reading, const struct tree_node *node, void *into)
{
	return read_bool(reading, node, &((struct policy_entry *)into)->agent);
}

static int
read_client_interfaces(struct reading *reading, const struct tree_node *node, void *into)
{
	bool seen = true;
	int error = read_bool(reading, node, &seen);

	((struct policy_entry *)into)->no_interfaces = !seen;
	return error;
}

static const struct key client_keys[] = {
	{"name", true, read_name},
	{"users", false, read_users},
	{"groups", false, read_groups},
	{"cgroups", false, read_cgroups},
	{"containers", false, read_containers},
	{"labels", false, read_labels},
	{"agent", false, read_agent},
	{"resolvers", false, read_resolvers},
	{"sockets", false, read_client_sockets},
	{"rules", false, read_rules},
	{"publish", false, read_publish},
	{"options", false, read_options},
	{"namespace", false, read_namespace},
	{"interfaces", false, read_client_interfaces},
	{"packet_sockets", false, read_packet_sockets},
	{"raw", false, read_raw},
	{"packet", false, read_packet},
};

static int
read_client(struct reading *reading, const struct tree_node *node, struct policy_entry *entry)
{
	int error = READ_MAPPING(reading, node, "a client", client_keys, entry);
	bool named = entry->gid_count || entry->cgroup_count || entry->container_count || entry->label_count;

	if (error)
		return error;
	if (!named && !entry->any_user && !entry->uid_count)
		return wrong(reading, node, "a client needs \"users\", \"groups\", \"cgroups\", \"containers\" or \"labels\"");
	/* Who is named otherwise may be any user's. */
	entry->any_user |= !entry->uid_count;
	if (entry->sockets && policy_has_rules(entry))
		return wrong(reading, node, "\"sockets: open\" grants everything: \"rules\" and \"publish\" would change nothing");
	if (entry->options && !policy_has_rules(entry))
		return wrong(reading, node, "\"options\" are for who has \"rules\" or \"publish\"");
	/* Mirrors, and the addresses that own headers are compared with, are of the gofer's own namespace. */
	if (entry->network && (entry->packet_count || (entry->raw.header && !entry->raw.any_source_ip)))
		return wrong(reading, node, "\"namespace\" does not go together with \"packet\", nor with own headers whose source_ip is own");
	return 0;
}

/* ---- the file ----------------------------------------------------------------------------------- */

static int
read_version(struct reading *reading, const struct tree_node *node, void *into)
{
	(void)into;
	return is_word(node, "1") && node->plain ? 0 : wrong(reading, node, "this gofer reads version 1 alone");
}

static int
read_ring_bytes(struct reading *reading, const struct tree_node *node, void *into)
{
	return read_size(reading, node, true, 0, RING_BYTES_MAX, &((struct policy *)into)->ring_bytes);
}

static int
read_foreign_rings(struct reading *reading, const struct tree_node *node, void *into)
{
	return read_choice(reading, node, "refuse", "unlimited", &((struct policy *)into)->foreign_rings);
}

static int
read_clients(struct reading *reading, const struct tree_node *node, void *into)
{
	struct policy *policy = into;
	int error = expect_list(reading, node, CLIENTS_MAX, "clients");

	if (error)
		return error;
	policy->entries = calloc(node->count, sizeof *policy->entries);
	if (!policy->entries)
		return no_memory(reading, node);
	for (size_t i = 0; i < node->count; i++) {
		struct policy_entry *entry = &policy->entries[policy->entry_count++];

		entry->packet_sockets = POLICY_PACKET_SOCKETS;
		error = read_client(reading, node->items[i], entry);
		for (size_t j = 0; !error && j < i; j++)
			if (strcmp(policy->entries[j].name, entry->name) == 0)
				error = wrong(reading, node->items[i], "name \"%s\" for the second time", entry->name);
		if (error)
			return error;
	}
	return 0;
}

static const struct key file_keys[] = {
	{"version", true, read_version},
	{"ring_bytes", false, read_ring_bytes},
	{"foreign_rings", false, read_foreign_rings},
	{"clients", true, read_clients},
};

/* The file's bytes, malloc()ed, or NULL with errno set. */
static char *
read_file(const char *path, size_t *len)
{
	/* What is no file, a FIFO say, must not keep us waiting. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	_cleanup_free_ char *bytes = NULL;
	char *read_bytes;
	size_t room = 0;
	struct stat st;
	ssize_t n = 1;

	if (fd < 0 || fstat(fd, &st) < 0)
		return NULL;
	if (!S_ISREG(st.st_mode)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		return NULL;
	}
	for (*len = 0; *len <= FILE_MAX && n > 0; *len += n > 0 ? (size_t)n : 0) {
		/* Not all that a file may have: few have that much. */
		if (*len == room) {
			char *larger = realloc(bytes, room = room ? 2 * room : 65536);

			if (!larger)
				return NULL;
			bytes = larger;
		}
		n = read(fd, bytes + *len, room - *len);
	}
	if (n < 0)
		return NULL;
	if (*len > FILE_MAX) {
		errno = EFBIG;
		return NULL;
	}
	read_bytes = bytes;
	bytes = NULL;
	return read_bytes;
}

int
policy_load(struct policy *policy, const char *path, char *message, size_t message_size)
{
	struct reading reading = {path, message, message_size};
	struct tree_error tree_error;
	struct tree_node *root;
	_cleanup_free_ char *bytes = NULL;
	size_t len;
	int error;

	*policy = (struct policy){.ring_bytes = POLICY_RING_BYTES};
	bytes = read_file(path, &len);
	if (!bytes) {
		error = errno ? -errno : -EIO;
		wrong_at(&reading, 1, 1, "%s", error == -EFBIG ? "larger than 16 MiB" : strerror(-error));
		return error;
	}
	root = tree_read(bytes, len, &tree_error);
	if (!root)
		return wrong_at(&reading, tree_error.line, tree_error.column, "%s", tree_error.text);
	error = READ_MAPPING(&reading, root, "a policy", file_keys, policy);
	tree_free(root);
	if (error)
		policy_free(policy);
	return error;
}
