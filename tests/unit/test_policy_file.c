/*
 * Policy files: what they come to, and what is said of those that are wrong, to the column.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <pcap/pcap.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gofer/policy.h"

static struct policy policy;
static char message[512];

static const struct policy_entry *
entry_of(const struct policy *of, uint64_t uid)
{
	return policy_entry_for(of, &(struct identity){.uid = uid, .gid = UINT64_MAX});
}

/* Loads these bytes as a file; its name is cut off the message. */
static int
load_bytes(const void *bytes, size_t len)
{
	int fd = memfd_create("policy", 0), status;
	char path[64];

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	memset(&policy, 0xa5, sizeof policy);
	*message = 0;
	status = policy_load(&policy, path, message, sizeof message);
	if (status < 0) {
		cr_assert_eq(strncmp(message, path, strlen(path)), 0, "%s", message);
		memmove(message, message + strlen(path), strlen(message) + 1 - strlen(path));
		cr_assert_null(policy.entries, "nothing is left of a policy that is wrong");
		cr_assert_eq(policy.entry_count, 0);
		cr_assert_null(entry_of(&policy, 0));
	}
	close(fd);
	return status;
}

static int
load(const char *text)
{
	return load_bytes(text, strlen(text));
}

static void
load_good(const char *text)
{
	cr_assert_eq(load(text), 0, "%s\n%s", message, text);
}

#define CLIENT "version: 1\nclients:\n- name: a\n  users: [0]\n"
#define RAW CLIENT "  raw:\n"
#define PACKET CLIENT "  packet:\n  - interface: veth0\n"

/* ---- what is right ------------------------------------------------------------------------------- */

Test(policy_file, all_of_it)
{
	const struct policy_entry *entry;
	const struct packet_grant *grant;
	static const uint8_t mac[6] = {2, 0, 0x5e, 0, 0x53, 0xff};
	static const uint8_t ten[16] = {[10] = 0xff, 0xff, 10}, fd[16] = {0xfd}, one[16] = {[10] = 0xff, 0xff, 192, 0, 2, 1};
	struct passwd *nobody = getpwnam("nobody");

	cr_assert_not_null(nobody);
	load_good("version: 1\n"
	          "ring_bytes: 1M\n"
	          "foreign_rings: unlimited\n"
	          "clients:\n"
	          "  - name: capture\n"
	          "    users: [nobody, 1000]\n"
	          "    sockets: open\n"
	          "    packet_sockets: 3\n"
	          "    raw:\n"
	          "      protocols: [icmp, ipv6-icmp, udp, 89, 0xff]\n"
	          "      headers: own\n"
	          "      source_ip: any\n"
	          "    packet:\n"
	          "      - interface: veth0\n"
	          "        receive: true\n"
	          "        send: true\n"
	          "        promiscuous: true\n"
	          "        ethertypes: [ip, ip6, arp, vlan, 0x88cc, llc, 1536]\n"
	          "        protocols: [icmp, udp]\n"
	          "        source_mac: [own, \"02:00:5e:00:53:fF\"]\n"
	          "        source_ip: [own, 10.0.0.0/8, \"fd00::/8\", 192.0.2.1]\n"
	          "        filter: \"tcp port 80\"\n"
	          "        frames_per_second: 1000\n"
	          "        bytes_per_second: 10M\n"
	          "      - {interface: \"*\", ethertypes: any, protocols: any, source_mac: any, source_ip: any}\n"
	          "  - {name: rest, users: \"*\"}\n");
	cr_expect_not(policy.open);
	cr_expect_eq(policy.ring_bytes, 1024 * 1024);
	cr_expect(policy.foreign_rings);
	cr_assert_eq(policy.entry_count, 2);
	entry = &policy.entries[0];
	cr_expect_eq(entry_of(&policy, nobody->pw_uid), entry);
	cr_expect_eq(entry_of(&policy, 1000), entry);
	cr_expect_eq(entry_of(&policy, 1001), &policy.entries[1]);
	cr_expect_str_eq(entry->name, "capture");
	cr_expect_not(entry->any_user);
	cr_expect(entry->sockets);
	cr_expect_eq(entry->packet_sockets, 3);
	cr_expect(entry->raw.granted && entry->raw.header && entry->raw.any_source_ip && !entry->raw.protocols.any);
	for (int i = 0; i < 256; i++)
		cr_expect_eq(policy_has_number(&entry->raw.protocols, (uint16_t)i), i == 1 || i == 58 || i == 17 || i == 89 || i == 255, "%d", i);
	cr_assert_eq(entry->packet_count, 2);
	grant = policy_packet(entry, "veth0", false);
	cr_assert_eq(grant, &entry->packet[0]);
	cr_expect(grant->receive && grant->send && grant->promiscuous && !grant->any_source_mac && !grant->any_source_ip);
	for (int i = 0; i < 65536; i++)
		cr_expect_eq(policy_has_number(&grant->ethertypes, (uint16_t)i),
		             i == 0 || i == 0x600 || i == 0x800 || i == 0x86dd || i == 0x806 || i == 0x8100 || i == 0x88cc, "%d", i);
	for (int i = 0; i < 256; i++)
		cr_expect_eq(policy_has_number(&grant->protocols, (uint16_t)i), i == 1 || i == 17, "%d", i);
	cr_assert_eq(grant->source_mac_count, 1);
	cr_expect_eq(memcmp(grant->source_macs[0], mac, 6), 0);
	cr_assert_eq(grant->source_ip_count, 3);
	cr_expect(grant->source_ips[0].prefix == 104 && memcmp(grant->source_ips[0].address, ten, 16) == 0);
	cr_expect(grant->source_ips[1].prefix == 8 && memcmp(grant->source_ips[1].address, fd, 16) == 0);
	cr_expect(grant->source_ips[2].prefix == 128 && memcmp(grant->source_ips[2].address, one, 16) == 0);
	cr_expect_eq(grant->frames_per_second, 1000);
	cr_expect_eq(grant->bytes_per_second, 10 * 1024 * 1024);
	grant = &entry->packet[1];
	cr_expect_eq(policy_packet(entry, "eth7", false), grant);
	cr_expect_null(policy_packet(entry, "lo", true));
	cr_expect(!grant->receive && !grant->send && !grant->promiscuous && grant->ethertypes.any && grant->protocols.any);
	cr_expect(grant->any_source_mac && grant->any_source_ip);
	policy_free(&policy);
	cr_expect_null(policy.entries);
	policy_free(&policy);
}

/* A filter is what tcpdump would use: run over frames. */
Test(policy_file, a_filter_is_compiled)
{
	uint8_t frame[54] = {[12] = 8, [14] = 0x45, [23] = 6, [36] = 0, [37] = 80};
	const struct sock_fprog *filter;
	struct bpf_insn instructions[100];

	load_good(PACKET "    ethertypes: any\n    filter: \"tcp port 80\"\n");
	filter = &policy.entries[0].packet[0].filter;
	cr_assert_gt(filter->len, 4);
	cr_assert_leq(filter->len, 100);
	for (int i = 0; i < filter->len; i++)
		instructions[i] = (struct bpf_insn){filter->filter[i].code, filter->filter[i].jt, filter->filter[i].jf, filter->filter[i].k};
	cr_expect_geq(bpf_filter(instructions, frame, sizeof frame, sizeof frame), sizeof frame, "all of a frame that passes");
	frame[37] = 81;
	cr_expect_eq(bpf_filter(instructions, frame, sizeof frame, sizeof frame), 0);
	policy_free(&policy);
}

Test(policy_file, numbers_and_their_suffixes)
{
	static const struct {
		const char *text;
		uint64_t value;
	} rows[] = {{"0", 0}, {"1", 1}, {"0x10", 16}, {"1K", 1024}, {"3M", 3u << 20}, {"1G", 1u << 30}, {"0x1fK", 31 * 1024}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[200];

		snprintf(text, sizeof text, "ring_bytes: %s\n" CLIENT, rows[i].text);
		load_good(text);
		cr_expect_eq(policy.ring_bytes, rows[i].value, "%s", rows[i].text);
		policy_free(&policy);
	}
}

/* ---- what is wrong ------------------------------------------------------------------------------- */

static const struct {
	const char *text, *message;
} errors[] = {
	/* The document. */
	{"", ":1:1: nothing in it"},
	{"# a comment\n", ":2:1: nothing in it"},
	{"--- 1\n--- 2\n", ":2:1: more than one document"},
	{CLIENT "...\n---\n" CLIENT, ":6:1: more than one document"},
	{"clients: [\n", ":2:1: did not find expected node content"},
	{"a: b: c\n", ":1:5: mapping values are not allowed in this context"},
	{"version: 1\n\tclients: 2\n", ":2:1: found a tab character that violates indentation"},
	{"version: \xff\n", ":1:10: invalid leading UTF-8 octet"},
	{"version: 1\nclients: \x01\n", ":2:10: control characters are not allowed"},
	{"version: \"\\0\"\n", ":1:10: a character of value 0"},
	{"version: &v 1\n", ":1:10: anchors are not supported"},
	{"version: 1\nclients: &v []\n", ":2:10: anchors are not supported"},
	{"version: 1\nclients: *v\n", ":2:10: aliases are not supported (an asterisk needs quotes: \"*\")"},
	{"version: !!int 1\n", ":1:10: tags are not supported"},
	{CLIENT "  <<: {sockets: open}\n", ":5:3: merge keys are not supported"},
	{"[a]: 1\n", ":1:1: a key must be a word"},
	{"version: 1\nversion: 1\n", ":2:1: key \"version\" for the second time"},
	{CLIENT "  name: b\n", ":5:3: key \"name\" for the second time"},
	{"[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]\n", ":1:17: too deep"},
	{"1\n", ":1:1: a mapping is needed here, not a single value"},
	{"[]\n", ":1:1: a mapping is needed here, not a list"},
	/* Keys. */
	{"versoin: 1\n", ":1:1: unknown key \"versoin\"; the nearest is \"version\""},
	{"version: 1\nring: 1\nclients: []\n", ":2:1: unknown key \"ring\"; the nearest is \"version\""},
	{CLIENT "  usrs: [1]\n", ":5:3: unknown key \"usrs\"; the nearest is \"users\""},
	{CLIENT "  socket: open\n", ":5:3: unknown key \"socket\"; the nearest is \"sockets\""},
	{RAW "    protocols: any\n    header: own\n", ":7:5: unknown key \"header\"; the nearest is \"headers\""},
	{PACKET "    ethertypes: any\n    frames_per_secnd: 1\n", ":8:5: unknown key \"frames_per_secnd\"; the nearest is \"frames_per_second\""},
	{PACKET "    ethertypes: any\n    \"x\\ny\": 1\n", ":8:5: unknown key \"x?y\"; the nearest is \"send\""},
	{"clients: []\n", ":1:1: a policy needs \"version\""},
	{"version: 1\n", ":1:1: a policy needs \"clients\""},
	{"version: 1\nclients:\n- users: [0]\n", ":3:3: a client needs \"name\""},
	{"version: 1\nclients:\n- name: a\n", ":3:3: a client needs \"users\", \"groups\", \"cgroups\", \"containers\" or \"labels\""},
	{RAW "    headers: own\n", ":6:5: a raw grant needs \"protocols\""},
	{PACKET, ":6:5: a packet grant needs \"ethertypes\""},
	{CLIENT "  packet:\n  - ethertypes: any\n", ":6:5: a packet grant needs \"interface\""},
	/* The file. */
	{"version: 2\nclients: []\n", ":1:10: this gofer reads version 1 alone"},
	{"version: \"1\"\nclients: []\n", ":1:10: this gofer reads version 1 alone"},
	{"version: [1]\nclients: []\n", ":1:10: this gofer reads version 1 alone"},
	{"version: 1\nclients: []\n", ":2:10: this list of clients is empty"},
	{"version: 1\nclients: a\n", ":2:10: a list is needed here, not a single value"},
	{"version: 1\nclients:\n", ":2:9: a list is needed here, not a single value"},
	{"version: 1\nclients: {}\n", ":2:10: a list is needed here, not a mapping"},
	{"version: 1\nclients: [a]\n", ":2:11: a mapping is needed here, not a single value"},
	{"foreign_rings: true\n" CLIENT, ":1:16: \"refuse\" or \"unlimited\" is needed here, not \"true\""},
	{"ring_bytes: -1\n" CLIENT, ":1:13: a number from 0 to 1073741824, perhaps with K, M or G, is needed here"},
	{"ring_bytes: 2G\n" CLIENT, ":1:13: a number from 0 to 1073741824, perhaps with K, M or G, is needed here"},
	{"ring_bytes: 1T\n" CLIENT, ":1:13: a number from 0 to 1073741824, perhaps with K, M or G, is needed here"},
	{"ring_bytes: 1KK\n" CLIENT, ":1:13: a number from 0 to 1073741824, perhaps with K, M or G, is needed here"},
	{"ring_bytes: 010\n" CLIENT, ":1:13: a number from 0 to 1073741824, perhaps with K, M or G, is needed here"},
	{"ring_bytes: 0x\n" CLIENT, ":1:13: a number from 0 to 1073741824, perhaps with K, M or G, is needed here"},
	{"ring_bytes: \"1\"\n" CLIENT, ":1:13: a number from 0 to 1073741824, perhaps with K, M or G, is needed here"},
	{"ring_bytes: 18014398509481985K\n" CLIENT, ":1:13: a number from 0 to 1073741824, perhaps with K, M or G, is needed here"},
	{"ring_bytes: 18446744073709551616\n" CLIENT, ":1:13: a number from 0 to 1073741824, perhaps with K, M or G, is needed here"},
	{"ring_bytes: [1]\n" CLIENT, ":1:13: a number from 0 to 1073741824, perhaps with K, M or G, is needed here"},
	/* A client. */
	{"version: 1\nclients:\n- name: a b\n  users: [0]\n", ":3:9: \"a b\": a name has letters, digits, \".\", \"_\" and \"-\""},
	{"version: 1\nclients:\n- name: \"\"\n  users: [0]\n", ":3:9: a name has 1 to 64 characters"},
	{"version: 1\nclients:\n- name: [a]\n  users: [0]\n", ":3:9: a single value is needed here, not a list"},
	{"version: 1\nclients:\n- {name: a, users: [0]}\n- {name: a, users: [1]}\n", ":4:3: name \"a\" for the second time"},
	{"version: 1\nclients:\n- name: a\n  users: []\n", ":4:10: this list of users is empty"},
	{"version: 1\nclients:\n- name: a\n  users: 0\n", ":4:10: \"*\" or a list of users is needed here, not \"0\""},
	{"version: 1\nclients:\n- name: a\n  users: [0, no-such-user]\n", ":4:14: there is no user \"no-such-user\""},
	{"version: 1\nclients:\n- name: a\n  users: [\"0\"]\n", ":4:11: there is no user \"0\""},
	{"version: 1\nclients:\n- name: a\n  users: [-1]\n", ":4:11: there is no user \"-1\""},
	{"version: 1\nclients:\n- name: a\n  users: [1x]\n", ":4:11: there is no user \"1x\""},
	{"version: 1\nclients:\n- name: a\n  users: [4294967295]\n", ":4:11: a user's number is at most 4294967294"},
	{"version: 1\nclients:\n- name: a\n  users: [[0]]\n", ":4:11: a user's name or number is needed here"},
	{"version: 1\nclients:\n- name: a\n  users: [\"\"]\n", ":4:11: a user's name or number is needed here"},
	{CLIENT "  sockets: opne\n", ":5:12: \"none\" or \"open\" is needed here, not \"opne\""},
	{CLIENT "  sockets: {}\n", ":5:12: \"none\" or \"open\" is needed here, not a mapping"},
	{CLIENT "  packet_sockets: 0\n", ":5:19: a number from 1 to 1024 is needed here"},
	{CLIENT "  packet_sockets: 1K\n", ":5:19: a number from 1 to 1024 is needed here"},
	{CLIENT "  raw: any\n", ":5:8: a mapping is needed here, not a single value"},
	{CLIENT "  packet: any\n", ":5:11: a list is needed here, not a single value"},
	{CLIENT "  packet: []\n", ":5:11: this list of packet grants is empty"},
	/* Raw. */
	{RAW "    protocols: []\n", ":6:16: this list of protocols is empty"},
	{RAW "    protocols: icmp\n", ":6:16: \"any\" or a list of protocols is needed here, not \"icmp\""},
	{RAW "    protocols: [icmp, imcp]\n", ":6:23: \"imcp\" is no name that is known here; the nearest is \"icmp\""},
	{RAW "    protocols: [256]\n", ":6:17: a number from 0 to 255 is needed here"},
	{RAW "    protocols: [1, icmp]\n", ":6:20: \"icmp\" for the second time"},
	{RAW "    protocols: [icmp, any]\n", ":6:23: \"any\" stands alone, not in a list"},
	{RAW "    protocols: [[1]]\n", ":6:17: a single value is needed here, not a list"},
	{RAW "    protocols: any\n    headers: any\n", ":7:14: \"none\" or \"own\" is needed here, not \"any\""},
	{RAW "    protocols: any\n    source_ip: [own]\n", ":7:16: \"own\" or \"any\" is needed here, not a list"},
	/* Packet. */
	{CLIENT "  packet:\n  - {interface: \"\", ethertypes: any}\n", ":6:17: \"\" cannot be the name of an interface"},
	{CLIENT "  packet:\n  - {interface: a/b, ethertypes: any}\n", ":6:17: \"a/b\" cannot be the name of an interface"},
	{CLIENT "  packet:\n  - {interface: .., ethertypes: any}\n", ":6:17: \"..\" cannot be the name of an interface"},
	{CLIENT "  packet:\n  - {interface: a234567890123456, ethertypes: any}\n", ":6:17: \"a234567890123456\" cannot be the name of an interface"},
	{PACKET "    ethertypes: any\n  - {interface: veth0, ethertypes: any}\n", ":8:5: interface \"veth0\" for the second time"},
	{PACKET "    ethertypes: any\n    receive: yes\n", ":8:14: \"false\" or \"true\" is needed here, not \"yes\""},
	{PACKET "    ethertypes: any\n    send: \"true\"\n", ":8:11: true or false without quotes is needed here"},
	{PACKET "    ethertypes: any\n    promiscuous: [true]\n", ":8:18: \"false\" or \"true\" is needed here, not a list"},
	{PACKET "    ethertypes: [0x5ff]\n", ":7:18: a number from 1536 to 65535 is needed here"},
	{PACKET "    ethertypes: [0x10000]\n", ":7:18: a number from 1536 to 65535 is needed here"},
	{PACKET "    ethertypes: [ip, ipv6]\n", ":7:22: \"ipv6\" is no name that is known here; the nearest is \"ip6\""},
	{PACKET "    ethertypes: [ip, 0x800]\n", ":7:22: \"0x800\" for the second time"},
	{PACKET "    ethertypes: any\n    protocols: []\n", ":8:16: this list of protocols is empty"},
	{PACKET "    ethertypes: any\n    protocols: [300]\n", ":8:17: a number from 0 to 255 is needed here"},
	{PACKET "    ethertypes: any\n    source_mac: none\n", ":8:17: \"own\", \"any\" or a list of hardware addresses is needed here, not \"none\""},
	{PACKET "    ethertypes: any\n    source_mac: [\"02:00:00:00:00:01\"]\n", ":8:18: this list begins with \"own\", which is always granted"},
	{PACKET "    ethertypes: any\n    source_mac: [own, any]\n", ":8:23: \"any\" is out of place in this list"},
	{PACKET "    ethertypes: any\n    source_mac: [own, \"02:00:00:00:00:0\"]\n",
	 ":8:23: \"02:00:00:00:00:0\" is no hardware address: 02:00:5e:00:53:01 would be one"},
	{PACKET "    ethertypes: any\n    source_mac: [own, \"02-00-00-00-00-01\"]\n",
	 ":8:23: \"02-00-00-00-00-01\" is no hardware address: 02:00:5e:00:53:01 would be one"},
	{PACKET "    ethertypes: any\n    source_mac: [own, \"03:00:00:00:00:01\"]\n",
	 ":8:23: \"03:00:00:00:00:01\" is a group's address, which no frame comes from"},
	{PACKET "    ethertypes: any\n    source_ip: [own, 10.0.0.1/8]\n", ":8:22: \"10.0.0.1/8\" has bits set behind its prefix"},
	{PACKET "    ethertypes: any\n    source_ip: [own, 10.0.0.0/33]\n",
	 ":8:22: \"10.0.0.0/33\" is no network: 192.0.2.0/24, 2001:db8::/32 or an address would be one"},
	{PACKET "    ethertypes: any\n    source_ip: [own, 10.0.0.0/]\n",
	 ":8:22: \"10.0.0.0/\" is no network: 192.0.2.0/24, 2001:db8::/32 or an address would be one"},
	{PACKET "    ethertypes: any\n    source_ip: [own, \"::ffff:10.0.0.1\"]\n", ":8:22: write \"::ffff:10.0.0.1\" as an IPv4 address"},
	{PACKET "    ethertypes: any\n    source_ip: [own, own]\n", ":8:22: \"own\" is out of place in this list"},
	{PACKET "    ethertypes: any\n    filter: \"tcp prot 80\"\n", ":8:13: can't parse filter expression: syntax error"},
	{PACKET "    ethertypes: any\n    filter: \"\"\n", ":8:13: this filter is empty"},
	{PACKET "    ethertypes: any\n    filter: [tcp]\n", ":8:13: a single value is needed here, not a list"},
	{PACKET "    ethertypes: any\n    frames_per_second: 0\n", ":8:24: a number from 1 to 1099511627776, perhaps with K, M or G, is needed here"},
	{PACKET "    ethertypes: any\n    bytes_per_second: fast\n", ":8:23: a number from 1 to 1099511627776, perhaps with K, M or G, is needed here"},
};

Test(policy_file, each_error_says_where_and_what)
{
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		cr_expect_eq(load(errors[i].text), -EINVAL, "case %zu is taken:\n%s", i, errors[i].text);
		cr_expect_str_eq(message, errors[i].message, "case %zu: \"%s\", not \"%s\"", i, message, errors[i].message);
	}
}

#pragma GCC diagnostic ignored "-Wformat-nonliteral"

/* Repeats `item` into a list between two texts. */
static void
check_too_many(const char *before, const char *item, unsigned count, const char *after, const char *expected)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	fputs(before, out);
	for (unsigned i = 0; i < count; i++) {
		/* Of the numbers, so that no two are the same. */
		fprintf(out, item, i + 0x600);
		fputs(", ", out);
	}
	fputs(after, out);
	fclose(out);
	cr_expect_eq(load(text), -EINVAL, "%s", expected);
	cr_expect(strstr(message, expected), "\"%s\", not \"%s\"", message, expected);
	free(text);
}

Test(policy_file, lists_and_the_file_have_an_end)
{
	static char large[16 * 1024 * 1024 + 1];

	check_too_many("version: 1\nclients: [", "{name: c%u, users: [0]}", 257, "]\n", "more than 256 clients");
	check_too_many("version: 1\nclients:\n- name: a\n  users: [", "%u", 1025, "]\n", "more than 1024 users");
	check_too_many(CLIENT "  packet: [", "{interface: e%u, ethertypes: any}", 65, "]\n", "more than 64 packet grants");
	check_too_many(PACKET "    ethertypes: [", "%u", 257, "]\n", "more than 256 ether types");
	check_too_many(PACKET "    ethertypes: any\n    source_ip: [own, ", "\"::%x\"", 256, "]\n", "more than 256 networks");
	check_too_many("{", "k%u: 1", 65, "}\n", "too many keys");
	check_too_many("[", "%u", 1100000, "]\n", "too much in it");
	memset(large, ' ', sizeof large);
	memcpy(large, CLIENT, strlen(CLIENT));
	large[strlen(CLIENT)] = '#';
	cr_expect_eq(load_bytes(large, sizeof large - 1), 0, "%s", message);
	policy_free(&policy);
	cr_expect_eq(load_bytes(large, sizeof large), -EFBIG);
	cr_expect_str_eq(message, ":1:1: larger than 16 MiB");
}

Test(policy_file, what_cannot_be_read_is_an_error)
{
	char directory[] = "/tmp/splitsock-policy-XXXXXX";

	cr_assert_eq(policy_load(&policy, "/nonexistent/policy", message, sizeof message), -ENOENT);
	cr_expect_str_eq(message, "/nonexistent/policy:1:1: No such file or directory");
	cr_assert_not_null(mkdtemp(directory));
	cr_expect_eq(policy_load(&policy, directory, message, sizeof message), -EISDIR);
	rmdir(directory);
	cr_expect_eq(policy_load(&policy, "/dev/null", message, sizeof message), -EINVAL);
	/* A message that does not fit is cut. */
	memset(message, 'x', sizeof message);
	cr_expect_lt(policy_load(&policy, "/nonexistent/policy", message, 8), 0);
	cr_expect_str_eq(message, "/nonexi");
	cr_expect_eq(message[8], 'x');
}

/* However a good file is cut or changed, it is taken whole or refused: under a sanitizer this looks for bad reads and leaks. */
Test(policy_file, a_spoilt_file_is_refused_or_good, .timeout = 120)
{
	static const char good[] = PACKET "    send: true\n    ethertypes: [ip, 0x88cc]\n    protocols: [udp]\n    source_ip: [own, 10.0.0.0/8]\n"
	                                  "    source_mac: [own, \"02:00:00:00:00:01\"]\n    filter: \"udp\"\n    bytes_per_second: 1M\n";
	static const char letters[] = "\n\t :-[]{}\"'#*&!|>%@`,?\\0aZ\x80\xff";
	uint64_t random = 1;
	unsigned refused = 0, taken = 0;

	for (int round = 0; round < 6000; round++) {
		char text[sizeof good];
		size_t len = sizeof good - 1;

		memcpy(text, good, sizeof text);
		if (round < (int)sizeof good)
			len = (size_t)round;
		for (int change = 0; round >= (int)sizeof good && change <= round % 3; change++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			text[(random >> 33) % len] = letters[(random >> 20) % sizeof letters];
		}
		if (load_bytes(text, len) == 0) {
			taken++;
			policy_free(&policy);
		} else {
			refused++;
			cr_assert_gt(strlen(message), 6);
		}
	}
	cr_assert_gt(refused, 1000);
	cr_assert_gt(taken, 100);
}

/* ---- the manual ---------------------------------------------------------------------------------- */

#define PAGE SOURCE_DIR "/deploy/man/splitsock-policy.5"

/* Of the key's description in the section, what stands behind "Default:". */
static void
manual_default(const char *page, const char *section, const char *key, char *value, size_t size)
{
	char item[64];
	const char *at, *next, *found;

	snprintf(item, sizeof item, "\n.Ss %s\n", section);
	at = strstr(page, item);
	cr_assert_not_null(at, "%s", section);
	snprintf(item, sizeof item, "\n.It Cm %s\n", key);
	at = strstr(at, item);
	cr_assert_not_null(at, "%s", key);
	next = strstr(at + 1, "\n.It");
	found = strstr(at, "\nDefault:\n.Li ");
	cr_assert(found && (!next || found < next || strstr(at, "\n.El") > found), "%s has no default", key);
	snprintf(value, size, "%.*s", (int)strcspn(found + 14, " "), found + 14);
}

Test(policy_file, the_manual_has_the_real_defaults)
{
	static char page[1 << 16];
	FILE *file = fopen(PAGE, "re");
	const struct policy_entry *entry;
	const struct packet_grant *grant;
	char ring[32], sockets[32];
	size_t count = 0;

	cr_assert_not_null(file);
	cr_assert_gt(fread(page, 1, sizeof page - 1, file), 0);
	fclose(file);
	load_good(PACKET "    ethertypes: any\n  raw: {protocols: any}\n  rules: [{name: x, allow: [connect]}]\n"
	                 "  publish: [{port: 80, on: \"0.0.0.0:80\"}]\n");
	entry = &policy.entries[0];
	grant = &entry->packet[0];
	snprintf(ring, sizeof ring, "%lluM", (unsigned long long)policy.ring_bytes >> 20);
	snprintf(sockets, sizeof sockets, "%u", entry->packet_sockets);

	const struct {
		const char *section, *key, *real;
	} rows[] = {
		{"The file", "ring_bytes", ring},
		{"The file", "foreign_rings", policy.foreign_rings ? "unlimited" : "refuse"},
		{"A client", "agent", entry->agent ? "true" : "false"},
		{"A client", "interfaces", entry->no_interfaces ? "false" : "true"},
		{"Rules", "protocols", entry->rules[0].protocols.any ? "any" : "none"},
		{"Rules", "to", entry->rules[0].to_count ? "some" : "any"},
		{"Rules", "ports", entry->rules[0].port_count ? "some" : "any"},
		{"Published ports", "protocol", entry->publish[0].protocol == IPPROTO_TCP ? "tcp" : "udp"},
		{"A client", "sockets", entry->sockets ? "open" : "none"},
		{"A client", "packet_sockets", sockets},
		{"Raw sockets", "headers", entry->raw.header ? "own" : "none"},
		{"Raw sockets", "source_ip", entry->raw.any_source_ip ? "any" : "own"},
		{"Packet sockets", "receive", grant->receive ? "true" : "false"},
		{"Packet sockets", "send", grant->send ? "true" : "false"},
		{"Packet sockets", "promiscuous", grant->promiscuous ? "true" : "false"},
		{"Packet sockets", "protocols", grant->protocols.any ? "any" : "none"},
		{"Packet sockets", "source_mac", grant->any_source_mac || grant->source_mac_count ? "any" : "own"},
		{"Packet sockets", "source_ip", grant->any_source_ip || grant->source_ip_count ? "any" : "own"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char told[64];

		manual_default(page, rows[i].section, rows[i].key, told, sizeof told);
		cr_expect_str_eq(told, rows[i].real, "%s: the manual says %s, and it is %s", rows[i].key, told, rows[i].real);
	}
	for (const char *at = page; (at = strstr(at, "\nDefault:\n")); at++)
		count++;
	cr_expect_eq(count, sizeof rows / sizeof *rows, "each default of the manual is checked here");
	/* No limits of rates, no filter. */
	cr_expect_eq(grant->frames_per_second + grant->bytes_per_second + grant->filter.len, 0);
	policy_free(&policy);
}

Test(policy_file, the_manuals_example_is_good)
{
	static char page[1 << 16];
	FILE *file = fopen(PAGE, "re");
	char *begin, *end;

	cr_assert_not_null(file);
	cr_assert_gt(fread(page, 1, sizeof page - 1, file), 0);
	fclose(file);
	begin = strstr(page, "\n.Bd -literal\n");
	cr_assert_not_null(begin);
	begin = strchr(begin + 1, '\n') + 1;
	end = strstr(begin, ".Ed\n");
	cr_assert_not_null(end);
	*end = 0;
	load_good(begin);
	cr_expect_eq(policy.entry_count, 2);
	policy_free(&policy);
}
