// Makes calls that a filter tells apart, and prints what became of them.
#include <errno.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int error_of(long result)
{
	return result < 0 ? errno : 0;
}

int main(void)
{
	struct io_uring_params params = {0};
	int pair[2], count;
	char byte;

	printf("families:");
	for (int family = 0; family < 64; family++) {
		int error = error_of(socket(family, SOCK_DGRAM, 0));
		// Whether there is AF_ALG the kernel's configuration says.
		if (error != EAFNOSUPPORT && family != AF_ALG)
			printf(" %d:%d", family, error);
	}
	// The kernel takes an int: what is above it does not count.
	printf(" high half: %d", error_of(syscall(SYS_socket, AF_INET | 1L << 32, SOCK_DGRAM, 0)));
	printf(" audit: %d uevent: %d\n", error_of(socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT)), error_of(socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT)));
	printf("io_uring: %d\n", error_of(syscall(SYS_io_uring_setup, 1, &params)));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return 1;
	// Neither trapped nor refused, trapped and let go on, with a flag, with an address.
	printf("send: %d %d %d", error_of(sendto(pair[0], "", 1, 0, NULL, 0)), error_of(sendto(pair[0], "", 1, MSG_MORE, NULL, 0)),
	       error_of(sendto(pair[0], "", 1, 0, &(struct sockaddr){.sa_family = AF_UNIX}, 3)));
	printf(" receive: %d %d", error_of(recvfrom(pair[1], &byte, 1, 0, NULL, NULL)), error_of(recvfrom(pair[1], &byte, 1, MSG_TRUNC | MSG_DONTWAIT, NULL, NULL)));
	printf(" ioctl: %d %d %d\n", error_of(ioctl(pair[1], FIONREAD, &count)), error_of(ioctl(pair[1], TCGETS, &params)), error_of(ioctl(pair[1], FIONBIO, &(int){0})));
	return 0;
}
