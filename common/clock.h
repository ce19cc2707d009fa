/* The time that only goes on: for deadlines and ages, never for a date. */
#ifndef SPLITSOCK_COMMON_CLOCK_H
#define SPLITSOCK_COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t
clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Milliseconds of the monotonic clock. */
static inline int64_t
now_ms(void)
{
	return clock_ms(CLOCK_MONOTONIC);
}

/* The same as of the kernel's last tick, up to 10 ms ago: for what asks once a packet. */
static inline int64_t
now_ms_coarse(void)
{
	return clock_ms(CLOCK_MONOTONIC_COARSE);
}

#endif
