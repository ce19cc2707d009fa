/*
 * A kernel of nothing but tables, for the system calls that the gofer makes on its sockets: linked in their place (-Wl,--wrap). Descriptors
 * are numbers from KERNEL_FD_FIRST on; calls on others go to the real kernel. What a call answers, the input decides: success, unless
 * kernel_answers() has put something else in front. Closing a descriptor that is not open, or using one, is a crash.
 */
#ifndef SPLITSOCK_TESTS_FUZZ_KERNEL_H
#define SPLITSOCK_TESTS_FUZZ_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#define KERNEL_FD_FIRST 100000
#define KERNEL_FDS 96

/* What the next calls answer: 0 as usual, 1 to 127 an errno of the table in kernel.c, more: cut short, or otherwise unusual. */
void kernel_answers(const uint8_t *answers, size_t count);

/* The open descriptors. */
unsigned kernel_open_count(void);
/* The n-th open one, modulo their number, that is a socket. -1: there is none. */
int kernel_socket(unsigned n);

/* Those that are open now are the gofer's own: kernel_socket() leaves them out. */
void kernel_keep(void);

/* Bytes or a packet arrive, from the peer or from the other end of a link. */
void kernel_arrives(int fd, const uint8_t *data, size_t len);
/*
 * Somebody connects to a listening socket; the next accept gives this descriptor. -1: it does not listen, or too many wait. A connect
 * that is under way succeeds.
 */
int kernel_connects(int fd);
/* The other side has gone: a link hangs up, a stream gets a FIN. Or it takes nothing more. */
void kernel_hangs_up(int fd);
void kernel_fills(int fd, bool full);
/* A stream is reset, or its connect fails; a datagram socket gets an ICMP error. */
void kernel_fails(int fd, int error);

/* What epoll would report now; `skip` starts elsewhere in the list. */
int kernel_ready(struct epoll_event *events, int max, unsigned skip);

/* The clocks; only this moves them. */
void kernel_sleep(int64_t ms);

/* The byte of what was sent that was read last. */
extern volatile uint8_t kernel_looked_at;

/* What epoll_wait does: the harness's part. */
int kernel_wait(struct epoll_event *events, int max);

#endif
