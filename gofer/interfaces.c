/*
 * The list is read anew whenever the kernel says that something has changed: changes are rare, and what an event says of one
 * interface need not be put together with what others said before.
 */
#include "gofer/interfaces.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/netlink.h"
#include "gofer/gofer.h"

#define ADDRESSES_MAX 1024u

static int
take_link(const struct nlmsghdr *header, void *arg)
{
	struct interfaces *list = arg;
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(header);
	struct host_interface *larger = reallocarray(list->all, list->count + 1, sizeof *larger), *interface;
	const struct nlattr *attribute;

	if (!larger)
		return MNL_CB_ERROR;
	list->all = larger;
	interface = &list->all[list->count++];
	*interface = (struct host_interface){.index = info->ifi_index, .type = info->ifi_type, .flags = info->ifi_flags};
	mnl_attr_for_each(attribute, header, sizeof *info) {
		switch (mnl_attr_get_type(attribute)) {
		case IFLA_IFNAME:
			strncpy(interface->name, mnl_attr_get_str(attribute), sizeof interface->name - 1);
			break;
		case IFLA_MTU:
			interface->mtu = mnl_attr_get_u32(attribute);
			break;
		case IFLA_ADDRESS:
			interface->own.has_mac = mnl_attr_get_payload_len(attribute) == sizeof interface->own.mac;
			if (interface->own.has_mac)
				memcpy(interface->own.mac, mnl_attr_get_payload(attribute), sizeof interface->own.mac);
			break;
		}
	}
	return MNL_CB_OK;
}

static int
take_address(const struct nlmsghdr *header, void *arg)
{
	struct interfaces *list = arg;
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(header);
	struct host_interface *interface = (struct host_interface *)interface_by_index(list, (int)info->ifa_index);
	struct policy_network address = {.address = {[10] = 0xff, [11] = 0xff}}, *larger;
	const struct nlattr *attribute, *local = NULL;
	size_t len = info->ifa_family == AF_INET ? 4 : 16;

	if (!interface || (info->ifa_family != AF_INET && info->ifa_family != AF_INET6) ||
	    interface->own.address_count >= ADDRESSES_MAX)
		return MNL_CB_OK;
	/* On a point-to-point interface IFA_ADDRESS is the peer's; where both are there, IFA_LOCAL is ours. */
	mnl_attr_for_each(attribute, header, sizeof *info)
		if (mnl_attr_get_type(attribute) == IFA_LOCAL || (mnl_attr_get_type(attribute) == IFA_ADDRESS && !local))
			local = attribute;
	if (!local || mnl_attr_get_payload_len(local) != len)
		return MNL_CB_OK;
	memcpy(address.address + sizeof address.address - len, mnl_attr_get_payload(local), len);
	address.prefix = (uint8_t)(info->ifa_prefixlen + (len == 4 ? 96 : 0));
	larger = reallocarray((void *)interface->own.addresses, interface->own.address_count + 1, sizeof *larger);
	if (!larger)
		return MNL_CB_ERROR;
	larger[interface->own.address_count++] = address;
	interface->own.addresses = larger;
	return MNL_CB_OK;
}

static void
list_free(struct interfaces *list)
{
	for (size_t i = 0; i < list->count; i++)
		free((void *)list->all[i].own.addresses);
	free(list->all);
	free(list->addresses);
	list->all = NULL;
	list->addresses = NULL;
	list->count = list->address_count = 0;
}

static int
dump(struct interfaces *list, uint16_t type, size_t header_size, mnl_cb_t take)
{
	char buffer[32768];
	struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	bool interrupted = false;
	unsigned port;
	ssize_t len;
	int result = -1;

	if (!socket)
		return -errno;
	header->nlmsg_type = type;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = 1;
	mnl_nlmsg_put_extra_header(header, header_size);
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0 && mnl_socket_sendto(socket, header, header->nlmsg_len) > 0) {
		port = mnl_socket_get_portid(socket);
		do {
			len = mnl_socket_recvfrom(socket, buffer, sizeof buffer);
			interrupted |= len > 0 && netlink_interrupted(buffer, (size_t)len);
			result = len < 0 ? -1 : mnl_cb_run(buffer, (size_t)len, 1, port, take, list);
		} while (result > MNL_CB_STOP);
	}
	result = result < 0 ? -(errno ? errno : EIO) : interrupted ? -EINTR : 0;
	mnl_socket_close(socket);
	return result;
}

static int
collect_addresses(struct interfaces *list)
{
	size_t count = 0;

	for (size_t i = 0; i < list->count; i++)
		count += list->all[i].own.address_count;
	list->addresses = calloc(count + 1, sizeof *list->addresses);
	if (!list->addresses)
		return -ENOMEM;
	for (size_t i = 0; i < list->count; i++) {
		const struct interface_own *own = &list->all[i].own;

		if (own->address_count)
			memcpy(list->addresses + list->address_count, own->addresses, own->address_count * sizeof *own->addresses);
		list->address_count += own->address_count;
	}
	return 0;
}

static int
read_all_once(struct interfaces *interfaces)
{
	struct interfaces list = {0};
	int error = dump(&list, RTM_GETLINK, sizeof(struct ifinfomsg), take_link);

	if (!error)
		error = dump(&list, RTM_GETADDR, sizeof(struct ifaddrmsg), take_address);
	if (!error)
		error = collect_addresses(&list);
	if (error) {
		list_free(&list);
		return error;
	}
	list_free(interfaces);
	interfaces->all = list.all;
	interfaces->count = list.count;
	interfaces->addresses = list.addresses;
	interfaces->address_count = list.address_count;
	return 0;
}

/* Something that changed meanwhile may have been left out, or be there twice. */
static int
read_all(struct interfaces *interfaces)
{
	int error = read_all_once(interfaces);

	for (int tries = 1; error == -EINTR && tries < NETLINK_TRIES_MAX; tries++)
		error = read_all_once(interfaces);
	return error;
}

static void
changed(struct watch *watch, uint32_t events)
{
	struct interfaces *interfaces = (struct interfaces *)((char *)watch - offsetof(struct interfaces, watch));
	char news[8192];

	(void)events;
	/* ENOBUFS: some of it was lost, and it does not matter what. */
	while (recv(watch->fd, news, sizeof news, MSG_DONTWAIT) > 0 || errno == ENOBUFS)
		;
	/* A client's promiscuous mode, too, is a change: with mirrors there is a look anyway, ten times a second. */
	interfaces->stale = true;
	if (!interfaces->gofer->mirrors)
		interfaces_refresh(interfaces);
}

bool
interfaces_refresh(struct interfaces *interfaces)
{
	int error;

	if (!interfaces->stale)
		return false;
	error = read_all(interfaces);
	if (error)
		log_warning("the host's interfaces cannot be read: %s", strerror(-error));
	interfaces->stale = error != 0;
	return !error;
}

int
interfaces_start(struct gofer *gofer)
{
	struct interfaces *interfaces = &gofer->interfaces;
	struct sockaddr_nl groups = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
	int error;

	if (interfaces->gofer)
		return 0;
	interfaces->watch = (struct watch){
		.fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE), .ready = changed};
	error = interfaces->watch.fd < 0 || bind(interfaces->watch.fd, (struct sockaddr *)&groups, sizeof groups) < 0
	                ? -errno : loop_watch(&gofer->loop, &interfaces->watch, EPOLLIN);
	if (!error)
		error = read_all(interfaces);
	if (error)
		loop_close(&gofer->loop, &interfaces->watch);
	else
		interfaces->gofer = gofer;
	return error;
}

void
interfaces_stop(struct interfaces *interfaces)
{
	if (!interfaces->gofer)
		return;
	loop_close(&interfaces->gofer->loop, &interfaces->watch);
	list_free(interfaces);
	interfaces->gofer = NULL;
}

const struct host_interface *
interface_by_index(const struct interfaces *interfaces, int index)
{
	for (size_t i = 0; i < interfaces->count; i++)
		if (interfaces->all[i].index == index)
			return &interfaces->all[i];
	return NULL;
}
