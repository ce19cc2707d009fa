/*
 * The calls that can be made to fail, and with what: errors that each one's manual names, the likeliest first.
 *
 * Left out is what the kernel cannot fail to do: shutdown() of a connection that there is, fstat(), getrandom() of at most 256 bytes, timers that are set,
 * flags of a descriptor, a number that is added to an eventfd; EPIPE of a connection that stands. A socket that is full is what slow readers are
 * for. To make those fail would test a kernel that there is not.
 */
#ifndef SPLITSOCK_TESTS_FAULTS_CALLS_H
#define SPLITSOCK_TESTS_FAULTS_CALLS_H

/* X(name, errors...) */
#define INJECTED_CALLS(X)                             \
	X(malloc, ENOMEM)                             \
	X(calloc, ENOMEM)                             \
	X(realloc, ENOMEM)                            \
	X(reallocarray, ENOMEM)                       \
	X(strdup, ENOMEM)                             \
	X(socket, EMFILE, ENOBUFS, EACCES)            \
	X(accept, EMFILE, ECONNABORTED, ENOBUFS)      \
	X(accept4, EMFILE, ECONNABORTED, ENOBUFS)     \
	X(connect, ENOBUFS, EADDRNOTAVAIL, ENETUNREACH) \
	X(bind, EADDRINUSE, ENOMEM)                   \
	X(listen, EADDRINUSE)                         \
	X(getsockname, ENOBUFS)                       \
	X(getpeername, ENOBUFS, ENOTCONN)             \
	X(getsockopt, ENOMEM)                         \
	X(setsockopt, ENOMEM, EPERM)                  \
	X(recv, ENOMEM, EAGAIN, ECONNRESET)           \
	X(recvfrom, ENOMEM, EAGAIN, ECONNRESET)       \
	X(recvmsg, ENOMEM, EAGAIN, ECONNRESET)        \
	X(recvmmsg, ENOMEM, EAGAIN, EINTR)            \
	X(send, ENOBUFS)                              \
	X(sendto, ENOBUFS)                            \
	X(sendmsg, ENOBUFS)                           \
	X(sendmmsg, ENOBUFS, EPERM)                   \
	X(read, EIO, EAGAIN, EINTR)                   \
	X(readv, ECONNRESET, EAGAIN, ENOMEM)          \
	X(pread, EIO)                                 \
	X(write, EIO, ENOSPC)                         \
	X(splice, ENOMEM, EAGAIN)                     \
	X(epoll_create1, EMFILE, ENOMEM)              \
	X(epoll_ctl, ENOMEM, ENOSPC)                  \
	X(epoll_wait, EINTR)                          \
	X(poll, ENOMEM, EINTR)                        \
	X(eventfd, EMFILE)                            \
	X(pipe, EMFILE)                               \
	X(pipe2, EMFILE)                              \
	X(memfd_create, EMFILE, ENOMEM)               \
	X(ftruncate, EIO)                             \
	X(signalfd, EMFILE)                           \
	X(timerfd_create, EMFILE)                     \
	X(inotify_init1, EMFILE)                      \
	X(inotify_add_watch, ENOSPC)                  \
	X(dup, EMFILE)                                \
	X(dup2, EBUSY)                                \
	X(dup3, EBUSY)                                \
	X(fcntl, ENOMEM)                              \
	X(ioctl, ENOMEM, EINTR)                       \
	X(open, EMFILE, ENOENT)                       \
	X(openat, EMFILE, ENOENT)                     \
	X(fopen, EMFILE)                              \
	X(fdopen, ENOMEM)                             \
	X(opendir, EMFILE)                            \
	X(fdopendir, ENOMEM)                          \
	X(readdir, EIO)                               \
	X(readlink, ENOMEM)                           \
	X(readlinkat, ENOMEM)                         \
	X(lstat, ENOMEM)                              \
	X(stat, ENOMEM)                               \
	X(access, EIO)                                \
	X(chmod, EPERM)                               \
	X(flock, ENOLCK, EINTR)                       \
	X(unlink, EIO)                                \
	X(unlinkat, EIO)                              \
	X(mkdir, ENOSPC)                              \
	X(mkdirat, ENOSPC)                            \
	X(mkdtemp, ENOSPC)                            \
	X(symlink, ENOSPC)                            \
	X(symlinkat, ENOSPC)                          \
	X(renameat, ENOSPC)                           \
	X(mmap, ENOMEM)                               \
	X(munmap, ENOMEM)                             \
	X(close, EIO)                                 \
	X(pthread_create, EAGAIN)                     \
	X(getrlimit, EPERM)                           \
	X(setrlimit, EPERM)                           \
	X(fork, EAGAIN, ENOMEM)                       \
	X(waitpid, EINTR)                             \
	X(kill, EPERM)                                \
	X(execvp, ENOMEM)                             \
	X(prctl, EINVAL)                              \
	X(setns, ENOMEM)                              \
	X(unshare, ENOSPC)                            \
	X(mount, ENOMEM)                              \
	X(fsopen, EMFILE)                             \
	X(fsconfig, ENOMEM)                           \
	X(fsmount, EMFILE)                            \
	X(open_tree, EMFILE)                          \
	X(move_mount, ENOMEM)                         \
	X(process_vm_readv, ENOMEM)                   \
	X(process_vm_writev, ENOMEM)                  \
	X(syscall, EMFILE, ENOMEM)

#define INJECTED_NUMBER(name, ...) CALL_##name,
enum injected_call { INJECTED_CALLS(INJECTED_NUMBER) INJECTED_COUNT };

#endif
