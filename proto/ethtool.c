#include "proto/ethtool.h"

#include <stdint.h>
#include <string.h>
#include <linux/ethtool.h>

/* dev_ethtool() in the kernel lists what needs no CAP_NET_ADMIN; these are of that list. */
static const struct {
	uint32_t command;
	size_t size;
} fixed[] = {
	{ETHTOOL_GSET, sizeof(struct ethtool_cmd)},
	{ETHTOOL_GDRVINFO, sizeof(struct ethtool_drvinfo)},
	{ETHTOOL_GMSGLVL, sizeof(struct ethtool_value)},
	{ETHTOOL_GLINK, sizeof(struct ethtool_value)},
	{ETHTOOL_GCOALESCE, sizeof(struct ethtool_coalesce)},
	{ETHTOOL_GRINGPARAM, sizeof(struct ethtool_ringparam)},
	{ETHTOOL_GPAUSEPARAM, sizeof(struct ethtool_pauseparam)},
	{ETHTOOL_GRXCSUM, sizeof(struct ethtool_value)},
	{ETHTOOL_GTXCSUM, sizeof(struct ethtool_value)},
	{ETHTOOL_GSG, sizeof(struct ethtool_value)},
	{ETHTOOL_GTSO, sizeof(struct ethtool_value)},
	{ETHTOOL_GUFO, sizeof(struct ethtool_value)},
	{ETHTOOL_GGSO, sizeof(struct ethtool_value)},
	{ETHTOOL_GGRO, sizeof(struct ethtool_value)},
	{ETHTOOL_GFLAGS, sizeof(struct ethtool_value)},
	{ETHTOOL_GPFLAGS, sizeof(struct ethtool_value)},
	{ETHTOOL_GCHANNELS, sizeof(struct ethtool_channels)},
	{ETHTOOL_GET_TS_INFO, sizeof(struct ethtool_ts_info)},
	{ETHTOOL_GEEE, sizeof(struct ethtool_eee)},
	{ETHTOOL_GSTRINGS, sizeof(struct ethtool_gstrings)},
	{ETHTOOL_GSTATS, sizeof(struct ethtool_stats)},
};

static uint64_t
variable_size(uint32_t command, const unsigned char *head)
{
	uint32_t size;
	uint64_t mask;

	memcpy(&size, head + offsetof(struct ethtool_perm_addr, size), sizeof size);
	switch (command) {
	case ETHTOOL_GPERMADDR:
		return sizeof(struct ethtool_perm_addr) + (uint64_t)size;
	case ETHTOOL_GFEATURES:
		return sizeof(struct ethtool_gfeatures) + (uint64_t)size * sizeof(struct ethtool_get_features_block);
	case ETHTOOL_GSSET_INFO:
		memcpy(&mask, head + offsetof(struct ethtool_sset_info, sset_mask), sizeof mask);
		return sizeof(struct ethtool_sset_info) + (unsigned)__builtin_popcountll(mask) * sizeof(uint32_t);
	case ETHTOOL_GLINKSETTINGS: {
		/* Negative or wrong: the kernel answers how many words there are, in the same place. */
		int8_t words = (int8_t)head[offsetof(struct ethtool_link_settings, link_mode_masks_nwords)];

		return sizeof(struct ethtool_link_settings) + (words > 0 ? 3u * (unsigned)words * sizeof(uint32_t) : 0);
	}
	default:
		return 0;
	}
}

size_t
ethtool_size(const void *head, size_t len)
{
	unsigned char bytes[ETHTOOL_HEAD] = {0};
	uint32_t command;
	uint64_t size;

	if (len < sizeof command)
		return 0;
	memcpy(bytes, head, len < sizeof bytes ? len : sizeof bytes);
	memcpy(&command, bytes, sizeof command);
	for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
		if (fixed[i].command == command)
			return fixed[i].size;
	size = variable_size(command, bytes);
	return size <= ETHTOOL_SIZE_MAX ? (size_t)size : 0;
}

size_t
ethtool_answer_size(const void *head, size_t len)
{
	struct ethtool_gstrings strings;
	struct ethtool_stats stats;
	uint64_t size = ethtool_size(head, len);
	uint32_t command;

	if (!size)
		return 0;
	memcpy(&command, head, sizeof command);
	if (command == ETHTOOL_GSTRINGS && len >= sizeof strings) {
		memcpy(&strings, head, sizeof strings);
		size += (uint64_t)strings.len * ETH_GSTRING_LEN;
	} else if (command == ETHTOOL_GSTATS && len >= sizeof stats) {
		memcpy(&stats, head, sizeof stats);
		size += (uint64_t)stats.n_stats * sizeof *stats.data;
	}
	return size <= ETHTOOL_SIZE_MAX ? (size_t)size : 0;
}
