#include "sentry_side/run/filter_rules.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "sentry_side/link.h"

#define ALWAYS(call, how, what) {.name = #call, .number = SYS_##call, .pointer_arg = -1, .otherwise = {.action = (how), .error = (what)}}
#define TRAPPED(call) ALWAYS(call, FILTER_NOTIFY, 0)
#define EQUAL(number, number_value) {.arg = (number), .mask = UINT32_MAX, .value = (number_value)}
#define FAMILY(family, how) {.test = {EQUAL(0, family)}, .action = (how)}
#define FLAG(number, flag) {.test = {{.arg = (number), .mask = (flag), .value = (flag)}}, .action = FILTER_NOTIFY}

const struct filter_call filter_calls[] = {
	{
		.name = "socket",
		.number = SYS_socket,
		.pointer_arg = -1,
		.case_count = 7,
		.cases = {
			FAMILY(AF_INET, FILTER_NOTIFY),
			FAMILY(AF_INET6, FILTER_NOTIFY),
			FAMILY(AF_PACKET, FILTER_NOTIFY),
			FAMILY(AF_UNIX, FILTER_ALLOW),
			FAMILY(AF_ALG, FILTER_ALLOW),
			/* Other netlink protocols speak of this network namespace, in which there is nothing. */
			{.test = {EQUAL(0, AF_NETLINK), EQUAL(2, NETLINK_ROUTE)}, .action = FILTER_NOTIFY},
			FAMILY(AF_NETLINK, FILTER_ALLOW),
		},
		.otherwise = {.action = FILTER_REFUSE, .error = EAFNOSUPPORT},
	},
	TRAPPED(connect),
	TRAPPED(bind),
	TRAPPED(listen),
	TRAPPED(accept),
	TRAPPED(accept4),
	TRAPPED(getsockname),
	TRAPPED(getpeername),
	TRAPPED(setsockopt),
	TRAPPED(getsockopt),
	TRAPPED(shutdown),
	TRAPPED(sendmsg),
	TRAPPED(recvmsg),
	TRAPPED(sendmmsg),
	TRAPPED(recvmmsg),
	ALWAYS(io_uring_setup, FILTER_REFUSE, ENOSYS),
	ALWAYS(io_uring_enter, FILTER_REFUSE, ENOSYS),
	ALWAYS(io_uring_register, FILTER_REFUSE, ENOSYS),
	/* With an address, or with flags that mean something else to a link. */
	{
		.name = "sendto",
		.number = SYS_sendto,
		.pointer_arg = 4,
		.case_count = 8,
		.cases = {
			FLAG(3, MSG_OOB), FLAG(3, MSG_MORE), FLAG(3, MSG_ZEROCOPY), FLAG(3, MSG_FASTOPEN),
			FLAG(3, MSG_CONFIRM), FLAG(3, MSG_PROBE), FLAG(3, MSG_DONTROUTE),
			{.test = {FILTER_NULL(4)}, .action = FILTER_ALLOW},
		},
		.otherwise = {.action = FILTER_NOTIFY},
	},
	{
		.name = "recvfrom",
		.number = SYS_recvfrom,
		.pointer_arg = 4,
		.case_count = 4,
		.cases = {
			FLAG(3, MSG_OOB), FLAG(3, MSG_ERRQUEUE), FLAG(3, MSG_TRUNC),
			{.test = {FILTER_NULL(4)}, .action = FILTER_ALLOW},
		},
		.otherwise = {.action = FILTER_NOTIFY},
	},
	/* FIONREAD, SIOCOUTQ, and the socket ioctls 0x89xx. */
	{
		.name = "ioctl",
		.number = SYS_ioctl,
		.pointer_arg = -1,
		.case_count = 3,
		.cases = {
			{.test = {EQUAL(1, FIONREAD)}, .action = FILTER_NOTIFY},
			{.test = {EQUAL(1, SIOCOUTQ)}, .action = FILTER_NOTIFY},
			{.test = {{.arg = 1, .mask = 0xffffff00, .value = 0x8900}}, .action = FILTER_NOTIFY},
		},
		.otherwise = {.action = FILTER_ALLOW},
	},
};

const size_t filter_call_count = sizeof filter_calls / sizeof *filter_calls;
