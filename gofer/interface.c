/*
 * ethtool's structures are reached by a pointer, and for some of them the kernel alone decides how much it writes there (the names and
 * values of a driver's statistics, say), whatever the caller has room for. So it writes to pages of their own, with one after them
 * that cannot be written: what would be too much is an EFAULT.
 */
#include "gofer/interface.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/ethtool.h"

static_assert(INTERFACE_VALUE_MAX >= ETHTOOL_SIZE_MAX, "an answer of ethtool's is an answer");

static int
ethtool(int fd, struct ifreq *ifreq, const ProtobufCBinaryData *data, uint8_t *value, size_t *value_len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (ETHTOOL_SIZE_MAX + page - 1) / page * page, size;
	uint8_t *pages;
	int error = 0;

	size = ethtool_size(data->data, data->len);
	if (!size)
		return -EPERM;
	if (data->len != size)
		return -EBADMSG;
	pages = mmap(NULL, room + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED)
		return -ENOBUFS;
	if (mprotect(pages, room, PROT_READ | PROT_WRITE) < 0) {
		munmap(pages, room + page);
		return -ENOBUFS;
	}
	memcpy(pages, data->data, size);
	ifreq->ifr_data = (char *)pages;
	if (ioctl(fd, SIOCETHTOOL, ifreq) < 0) {
		error = errno == EFAULT ? EOPNOTSUPP : errno;
	} else {
		*value_len = ethtool_answer_size(pages, room);
		if (*value_len)
			memcpy(value, pages, *value_len);
		else
			error = EOPNOTSUPP;
	}
	munmap(pages, room + page);
	return -error;
}

int
interface_ioctl(int fd, const Splitsock__InterfaceIoctl *message, uint8_t *value, size_t *value_len)
{
	unsigned long request = message->request;
	struct ifconf ifconf = {.ifc_len = INTERFACE_VALUE_MAX, .ifc_buf = (char *)value};
	struct ifreq ifreq;

	switch (request) {
	case SIOCGIFCONF:
		if (ioctl(fd, request, &ifconf) < 0)
			return -errno;
		*value_len = (size_t)ifconf.ifc_len;
		return 0;
	case SIOCGIFNAME:
	case SIOCGIFINDEX:
	case SIOCGIFFLAGS:
	case SIOCGIFADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFBRDADDR:
	case SIOCGIFDSTADDR:
	case SIOCGIFHWADDR:
	case SIOCGIFMTU:
	case SIOCGIFMETRIC:
	case SIOCGIFMAP:
	case SIOCGIFTXQLEN:
	case SIOCETHTOOL:
		break;
	default:
		return -EPERM;
	}
	if (message->ifreq.len != sizeof ifreq)
		return -EBADMSG;
	memcpy(&ifreq, message->ifreq.data, sizeof ifreq);
	ifreq.ifr_name[IFNAMSIZ - 1] = 0;
	if (request == SIOCETHTOOL)
		return ethtool(fd, &ifreq, &message->data, value, value_len);
	if (ioctl(fd, request, &ifreq) < 0)
		return -errno;
	memcpy(value, &ifreq, sizeof ifreq);
	*value_len = sizeof ifreq;
	return 0;
}
