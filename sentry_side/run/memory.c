#include <sys/uio.h>

#include "sentry_side/run/supervisor.h"

static pid_t
target(const struct trap *trap)
{
	return (pid_t)trap->call.pid;
}

bool
target_read(struct trap *trap, uint64_t address, void *buffer, size_t len)
{
	struct iovec here = {buffer, len}, there = {(void *)(uintptr_t)address, len};

	return len == 0 || process_vm_readv(target(trap), &here, 1, &there, 1, 0) == (ssize_t)len;
}

size_t
target_read_some(struct trap *trap, uint64_t address, void *buffer, size_t len)
{
	struct iovec here = {buffer, len}, there = {(void *)(uintptr_t)address, len};
	ssize_t n = len ? process_vm_readv(target(trap), &here, 1, &there, 1, 0) : 0;

	return n < 0 ? 0 : (size_t)n;
}

bool
target_write(struct trap *trap, uint64_t address, const void *buffer, size_t len)
{
	struct iovec here = {(void *)buffer, len}, there = {(void *)(uintptr_t)address, len};

	return len == 0 || process_vm_writev(target(trap), &here, 1, &there, 1, 0) == (ssize_t)len;
}

bool
target_gather(struct trap *trap, const struct iovec *iov, size_t count, void *buffer, size_t len)
{
	struct iovec here = {buffer, len};

	return len == 0 || process_vm_readv(target(trap), &here, 1, iov, count, 0) == (ssize_t)len;
}

bool
target_scatter(struct trap *trap, const struct iovec *iov, size_t count, const void *buffer, size_t len)
{
	struct iovec here = {(void *)buffer, len};

	return len == 0 || process_vm_writev(target(trap), &here, 1, iov, count, 0) == (ssize_t)len;
}
