/* getsockname() and getpeername(), and what programs ask about interfaces and hosts. */
#include "tests/conformance/scenario.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>

SCENARIO_V4_V6(names, states)
{
	int listener = tcp_listener(family), fd = tcp_socket(family), server;
	struct address at = local_of(listener);

	observe_local("fresh", fd);
	must("connect", connect_fd(fd, &at));
	observe_local("connected", fd);
	observe_peer("connected", fd);
	observe_peer("listener", listener);
	server = accept_from(listener);
	shutdown(fd, SHUT_WR);
	observe_peer("shut", fd);
	observe_recv("server", server, 10, 0);
	observe_peer("end seen", server);
	shutdown(server, SHUT_WR);
	observe_recv("client", fd, 10, 0);
	observe_local("over", server);
	observe_peer("over", server);
	observe_local("over", fd);
	observe_peer("over", fd);
}

SCENARIO_V4_V6(names, lengths)
{
	struct pair pair = tcp_pair(family);
	static const int lengths[] = {0, 1, 2, 8, 16, 28, 128, -1};

	observe_local("whole", pair.client);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		struct address name = {.length = (socklen_t)lengths[i]};
		int written = 0;

		memset(&name.storage, 0x55, sizeof name.storage);
		observe_call("getsockname", getsockname(pair.client, SA(&name), &name.length));
		/* Bytes 4 to 7 are address or flow label; the ports before them vary. */
		for (int j = 0; j < (int)sizeof name.storage; j++)
			if (((unsigned char *)&name.storage)[j] != 0x55 && (j < 2 || j > 3))
				written = j + 1;
		OBSERVE("given %d, returned %d, written %d", lengths[i], (int)name.length, written);
		name.length = (socklen_t)lengths[i];
		observe_call("getpeername", getpeername(pair.client, SA(&name), &name.length));
		OBSERVE("returned %d", (int)name.length);
	}
}

SCENARIO_V4_V6(names, udp_states)
{
	int fd = udp_socket(family), peer = udp_bound(family);
	struct address at = local_of(peer), any = wildcard(family, 0);

	observe_local("fresh", fd);
	must("bind", bind(fd, SA(&any), any.length));
	observe_local("bound", fd);
	observe_peer("bound", fd);
	must("connect", connect_fd(fd, &at));
	observe_local("connected", fd);
	observe_peer("connected", fd);
	close(peer);
	observe_peer("peer closed", fd);
}

SCENARIO(interfaces, index_and_name)
{
	char name[IF_NAMESIZE] = "";

	OBSERVE("index of lo %u", if_nametoindex("lo"));
	OBSERVE("name of 1 %s", if_indextoname(1, name) ? name : "?");
	OBSERVE("index of nonsense %u %s", if_nametoindex("nonsense0"), strerrorname_np(errno));
	OBSERVE("name of 99999 %d %s", if_indextoname(99999, name) != NULL, strerrorname_np(errno));
}

SCENARIO(interfaces, ioctls)
{
	int fd = udp_socket(AF_INET);
	struct ifreq request = {.ifr_name = "lo"};

	observe_call("SIOCGIFINDEX", ioctl(fd, SIOCGIFINDEX, &request));
	OBSERVE("index %d", request.ifr_ifindex);
	observe_call("SIOCGIFADDR", ioctl(fd, SIOCGIFADDR, &request));
	observe_address("address", &request.ifr_addr, sizeof request.ifr_addr);
	observe_call("SIOCGIFNETMASK", ioctl(fd, SIOCGIFNETMASK, &request));
	observe_address("mask", &request.ifr_netmask, sizeof request.ifr_netmask);
	observe_call("SIOCGIFFLAGS", ioctl(fd, SIOCGIFFLAGS, &request));
	OBSERVE("flags %#x", (unsigned short)request.ifr_flags);
	observe_call("SIOCGIFMTU", ioctl(fd, SIOCGIFMTU, &request));
	OBSERVE("mtu %d", request.ifr_mtu);
	observe_call("SIOCGIFHWADDR", ioctl(fd, SIOCGIFHWADDR, &request));
	OBSERVE("type %d", request.ifr_hwaddr.sa_family);
	observe_call("SIOCGIFMETRIC", ioctl(fd, SIOCGIFMETRIC, &request));
	OBSERVE("metric %d", request.ifr_metric);
	observe_call("SIOCGIFTXQLEN", ioctl(fd, SIOCGIFTXQLEN, &request));
	OBSERVE("queue %d", request.ifr_qlen);
	memset(&request, 0, sizeof request);
	request.ifr_ifindex = 1;
	observe_call("SIOCGIFNAME", ioctl(fd, SIOCGIFNAME, &request));
	OBSERVE("name %s", request.ifr_name);
	strcpy(request.ifr_name, "nonsense0");
	observe_call("SIOCGIFADDR", ioctl(fd, SIOCGIFADDR, &request));
	observe_call("SIOCGIFINDEX", ioctl(fd, SIOCGIFINDEX, &request));
}

SCENARIO(interfaces, list_by_ioctl)
{
	int fd = tcp_socket(AF_INET);
	struct ifreq requests[32];
	struct ifconf list = {.ifc_len = sizeof requests, .ifc_req = requests};

	observe_call("SIOCGIFCONF", ioctl(fd, SIOCGIFCONF, &list));
	for (int i = 0; i < list.ifc_len / (int)sizeof *requests; i++)
		OBSERVE("%s %s", requests[i].ifr_name,
		        inet_ntoa(((struct sockaddr_in *)&requests[i].ifr_addr)->sin_addr));
	list.ifc_req = NULL;
	list.ifc_len = 0;
	observe_call("SIOCGIFCONF size", ioctl(fd, SIOCGIFCONF, &list));
	OBSERVE("size %d", list.ifc_len);
}

SCENARIO(interfaces, getifaddrs)
{
	struct ifaddrs *list = NULL;

	observe_call("getifaddrs", getifaddrs(&list));
	for (struct ifaddrs *i = list; i; i = i->ifa_next) {
		socklen_t length;

		if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
			continue;
		length = i->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
		observe_address(i->ifa_name, i->ifa_addr, length);
		observe_address("netmask", i->ifa_netmask, length);
		OBSERVE("flags %#x", i->ifa_flags);
	}
	freeifaddrs(list);
}

SCENARIO(names, getaddrinfo)
{
	static const char *const hosts[] = {"127.0.0.1", "::1", "localhost", NULL};
	static const int flags[] = {0, AI_ADDRCONFIG, AI_PASSIVE, AI_NUMERICHOST};

	for (size_t i = 0; i < 4; i++) {
		for (size_t j = 0; j < 4; j++) {
			struct addrinfo hints = {.ai_flags = flags[j], .ai_socktype = SOCK_STREAM}, *list = NULL;
			int rc = getaddrinfo(hosts[i], "4242", &hints, &list);

			OBSERVE("%s flags %d: %s", hosts[i] ? hosts[i] : "NULL", flags[j], rc ? gai_strerror(rc) : "found");
			for (struct addrinfo *a = list; a; a = a->ai_next)
				observe_address("address", a->ai_addr, a->ai_addrlen);
			if (list)
				freeaddrinfo(list);
		}
	}
}
