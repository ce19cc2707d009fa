// Makes calls that a filter refuses, and prints their errors.
#include <errno.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	struct io_uring_params params = {0};
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0), family_error = fd < 0 ? errno : 0;
	long ring = syscall(SYS_io_uring_setup, 1, &params);
	printf("socket %d: %d, io_uring_setup: %d\n", AF_VSOCK, family_error, ring < 0 ? errno : 0);
	return 0;
}
