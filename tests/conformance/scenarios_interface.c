/* Interfaces as ioctls tell of them: each request, for lo and for what is not there; ethtool's reads. */
#include "tests/conformance/scenario.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>

static const struct {
	const char *name;
	unsigned long request;
} gets[] = {
	{"SIOCGIFINDEX", SIOCGIFINDEX},     {"SIOCGIFFLAGS", SIOCGIFFLAGS},     {"SIOCGIFADDR", SIOCGIFADDR},
	{"SIOCGIFNETMASK", SIOCGIFNETMASK}, {"SIOCGIFBRDADDR", SIOCGIFBRDADDR}, {"SIOCGIFDSTADDR", SIOCGIFDSTADDR},
	{"SIOCGIFHWADDR", SIOCGIFHWADDR},   {"SIOCGIFMTU", SIOCGIFMTU},         {"SIOCGIFMETRIC", SIOCGIFMETRIC},
	{"SIOCGIFMAP", SIOCGIFMAP},         {"SIOCGIFTXQLEN", SIOCGIFTXQLEN},
};

static void
get_everything(int fd, const char *name)
{
	for (size_t i = 0; i < sizeof gets / sizeof *gets; i++) {
		struct ifreq request;
		long rc;

		memset(&request, 0, sizeof request);
		snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
		rc = ioctl(fd, gets[i].request, &request);
		observe_call(gets[i].name, rc);
		if (rc == 0) /* all of what came, as one number */
			OBSERVE("%s %#llx", request.ifr_name,
			        (unsigned long long)hash_bytes(&request.ifr_ifru, sizeof request.ifr_ifru));
	}
}

SCENARIO(interface, all_of_lo)
{
	get_everything(udp_socket(AF_INET), "lo");
}

SCENARIO(interface, all_of_lo_by_stream)
{
	get_everything(tcp_socket(AF_INET), "lo");
}

SCENARIO(interface, all_of_lo_by_ipv6)
{
	get_everything(udp_socket(AF_INET6), "lo");
}

SCENARIO(interface, all_of_lo_by_connected)
{
	get_everything(tcp_pair(AF_INET).client, "lo");
	get_everything(tcp_listener(AF_INET), "lo");
}

SCENARIO(interface, unknown_name)
{
	get_everything(udp_socket(AF_INET), "nonsense0");
}

SCENARIO(interface, odd_names)
{
	int fd = udp_socket(AF_INET);

	get_everything(fd, "");
	get_everything(fd, "lo:0");
	get_everything(fd, "lo:nonsense");
	get_everything(fd, "fifteen_letters");
}

SCENARIO(interface, every_index)
{
	int fd = udp_socket(AF_INET);
	static const int indexes[] = {1, 2, 3, 4, 0, -1, 99999};

	for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++) {
		struct ifreq request = {.ifr_ifindex = indexes[i]};

		observe_call("SIOCGIFNAME", ioctl(fd, SIOCGIFNAME, &request));
		OBSERVE("%d is %s", indexes[i], request.ifr_name);
	}
}

SCENARIO(interface, name_without_end)
{
	int fd = udp_socket(AF_INET);
	struct ifreq request;

	memset(&request, 'x', sizeof request);
	observe_call("SIOCGIFINDEX", ioctl(fd, SIOCGIFINDEX, &request));
	observe_call("SIOCGIFMTU", ioctl(fd, SIOCGIFMTU, &request));
}

SCENARIO(interface, bad_pointers)
{
	int fd = udp_socket(AF_INET);
	static const unsigned long more[] = {SIOCGIFNAME, SIOCGIFCONF, SIOCETHTOOL};

	for (size_t i = 0; i < sizeof gets / sizeof *gets; i++)
		observe_call(gets[i].name, ioctl(fd, gets[i].request, (void *)8));
	for (size_t i = 0; i < sizeof more / sizeof *more; i++)
		observe_call("more", ioctl(fd, more[i], (void *)8));
	observe_call("NULL", ioctl(fd, SIOCGIFINDEX, NULL));
}

SCENARIO(interface, list_lengths)
{
	int fd = udp_socket(AF_INET);
	struct ifreq requests[64];
	static const int lengths[] = {0, 1, 39, 40, 41, 79, 80, sizeof requests, -1};

	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		struct ifconf list = {.ifc_len = lengths[i], .ifc_req = requests};

		memset(requests, 0, sizeof requests);
		observe_call("SIOCGIFCONF", ioctl(fd, SIOCGIFCONF, &list));
		OBSERVE("given %d returned %d first %s", lengths[i], list.ifc_len, requests[0].ifr_name);
	}
}

SCENARIO(interface, list_bad_buffer)
{
	int fd = udp_socket(AF_INET);
	struct ifconf list = {.ifc_len = 4000, .ifc_buf = (char *)8};

	observe_call("SIOCGIFCONF", ioctl(fd, SIOCGIFCONF, &list));
}

SCENARIO(interface, not_on_other_descriptors)
{
	struct ifreq request = {.ifr_name = "lo"};
	int pipes[2];

	must("pipe", pipe(pipes));
	observe_call("pipe", ioctl(pipes[0], SIOCGIFINDEX, &request));
	observe_call("closed", ioctl(999, SIOCGIFINDEX, &request));
}

SCENARIO(interface, change_unknown)
{
	int fd = udp_socket(AF_INET);
	struct ifreq request = {.ifr_name = "nonsense0", .ifr_mtu = 1500};

	/* Root is told that there is none, others that they may not. */
	OBSERVE("SIOCSIFMTU refused %d", ioctl(fd, SIOCSIFMTU, &request) < 0 && (errno == ENODEV || errno == EPERM));
	OBSERVE("SIOCSIFFLAGS refused %d", ioctl(fd, SIOCSIFFLAGS, &request) < 0 && (errno == ENODEV || errno == EPERM));
	OBSERVE("SIOCADDMULTI refused %d", ioctl(fd, SIOCADDMULTI, &request) < 0 && (errno == ENODEV || errno == EPERM || errno == EINVAL));
	OBSERVE("SIOCDELMULTI refused %d", ioctl(fd, SIOCDELMULTI, &request) < 0 && (errno == ENODEV || errno == EPERM || errno == EINVAL));
	OBSERVE("SIOCSIFADDR refused %d", ioctl(fd, SIOCSIFADDR, &request) < 0 && (errno == ENODEV || errno == EPERM || errno == EINVAL));
}

/* --- ethtool -------------------------------------------------------------------------------------- */

static long
ethtool(int fd, const char *name, void *data)
{
	struct ifreq request = {.ifr_data = data};

	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
	return ioctl(fd, SIOCETHTOOL, &request);
}

SCENARIO(interface, ethtool_driver)
{
	int fd = udp_socket(AF_INET);
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};

	observe_call("lo", ethtool(fd, "lo", &info));
	OBSERVE("driver \"%s\" version \"%s\" bus \"%s\" statistics %u", info.driver, info.version, info.bus_info, info.n_stats);
	observe_call("unknown", ethtool(fd, "nonsense0", &info));
	observe_call("bad pointer", ethtool(fd, "lo", (void *)8));
}

SCENARIO(interface, ethtool_values)
{
	int fd = udp_socket(AF_INET);
	static const struct {
		const char *name;
		uint32_t command;
	} commands[] = {
		{"GLINK", ETHTOOL_GLINK},   {"GMSGLVL", ETHTOOL_GMSGLVL}, {"GRXCSUM", ETHTOOL_GRXCSUM}, {"GTXCSUM", ETHTOOL_GTXCSUM},
		{"GSG", ETHTOOL_GSG},       {"GTSO", ETHTOOL_GTSO},       {"GUFO", ETHTOOL_GUFO},       {"GGSO", ETHTOOL_GGSO},
		{"GGRO", ETHTOOL_GGRO},     {"GFLAGS", ETHTOOL_GFLAGS},   {"GPFLAGS", ETHTOOL_GPFLAGS},
	};

	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		struct ethtool_value value = {.cmd = commands[i].command};

		observe_call(commands[i].name, ethtool(fd, "lo", &value));
		OBSERVE("%#x", value.data);
	}
}

SCENARIO(interface, ethtool_settings)
{
	int fd = udp_socket(AF_INET);
	struct ethtool_cmd old = {.cmd = ETHTOOL_GSET};
	struct ethtool_coalesce coalesce = {.cmd = ETHTOOL_GCOALESCE};
	struct ethtool_ringparam rings = {.cmd = ETHTOOL_GRINGPARAM};
	struct ethtool_pauseparam pauses = {.cmd = ETHTOOL_GPAUSEPARAM};
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ethtool_wolinfo wake = {.cmd = ETHTOOL_GWOL};
	struct ethtool_eeprom eeprom = {.cmd = ETHTOOL_GEEPROM, .len = 0};

	observe_call("GSET", ethtool(fd, "lo", &old));
	observe_call("GCOALESCE", ethtool(fd, "lo", &coalesce));
	observe_call("GRINGPARAM", ethtool(fd, "lo", &rings));
	observe_call("GPAUSEPARAM", ethtool(fd, "lo", &pauses));
	observe_call("GCHANNELS", ethtool(fd, "lo", &channels));
	/* Not for everybody: a password is in there. */
	OBSERVE("GWOL refused %d", ethtool(fd, "lo", &wake) < 0);
	OBSERVE("GEEPROM refused %d", ethtool(fd, "lo", &eeprom) < 0);
}

SCENARIO(interface, ethtool_link_settings)
{
	int fd = udp_socket(AF_INET);
	struct {
		struct ethtool_link_settings settings;
		uint32_t masks[3 * 127];
	} request = {.settings = {.cmd = ETHTOOL_GLINKSETTINGS}};

	observe_call("GLINKSETTINGS", ethtool(fd, "lo", &request));
	OBSERVE("words %d", request.settings.link_mode_masks_nwords);
}

SCENARIO(interface, ethtool_stamping)
{
	int fd = udp_socket(AF_INET);
	struct ethtool_ts_info info = {.cmd = ETHTOOL_GET_TS_INFO};
	struct ethtool_perm_addr *address = must_alloc(sizeof *address + 32);

	observe_call("GET_TS_INFO", ethtool(fd, "lo", &info));
	OBSERVE("stamping %#x clock %d", info.so_timestamping, info.phc_index);
	address->cmd = ETHTOOL_GPERMADDR;
	address->size = 32;
	observe_call("GPERMADDR", ethtool(fd, "lo", address));
	OBSERVE("size %u", address->size);
}

SCENARIO(interface, ethtool_features)
{
	int fd = udp_socket(AF_INET);
	struct ethtool_sset_info *sets = must_alloc(sizeof *sets + 64 * sizeof(uint32_t));
	struct ethtool_gfeatures *features = must_alloc(sizeof *features + 8 * sizeof *features->features);
	struct ethtool_gstrings *strings;
	uint32_t count;

	sets->cmd = ETHTOOL_GSSET_INFO;
	sets->sset_mask = 1ull << ETH_SS_FEATURES;
	observe_call("GSSET_INFO", ethtool(fd, "lo", sets));
	count = sets->data[0];
	OBSERVE("mask %#llx some %d", (unsigned long long)sets->sset_mask, count > 0 && count < 1000);
	if (count == 0 || count >= 1000)
		return;
	strings = must_alloc(sizeof *strings + (size_t)count * ETH_GSTRING_LEN);
	strings->cmd = ETHTOOL_GSTRINGS;
	strings->string_set = ETH_SS_FEATURES;
	strings->len = count;
	observe_call("GSTRINGS", ethtool(fd, "lo", strings));
	OBSERVE("count %u first \"%.32s\" all %#llx", strings->len, strings->data,
	        (unsigned long long)hash_bytes(strings->data, (size_t)count * ETH_GSTRING_LEN));
	features->cmd = ETHTOOL_GFEATURES;
	features->size = 8;
	observe_call("GFEATURES", ethtool(fd, "lo", features));
	OBSERVE("size %u all %#llx", features->size,
	        (unsigned long long)hash_bytes(features->features, 8 * sizeof *features->features));
	strings->string_set = 99;
	observe_call("GSTRINGS unknown", ethtool(fd, "lo", strings));
}

SCENARIO(interface, ethtool_unknown_command)
{
	int fd = udp_socket(AF_INET);
	uint32_t commands[][64] = {{0}, {0x7fff}, {0xffffffff}};

	for (size_t i = 0; i < 3; i++)
		OBSERVE("%#x refused %d", commands[i][0],
		        ethtool(fd, "lo", commands[i]) < 0 && (errno == EOPNOTSUPP || errno == EPERM));
}
