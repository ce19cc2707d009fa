/*
 * splitsock-bench-load: measures one thing against splitsock-bench-peer and prints one number.
 *
 * An ordinary program with ordinary sockets: the driver runs the same binary directly, behind splitsock-run and behind
 * pasta. It takes the time by itself, after the first connection stands, so that starting a process is never counted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <error.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/bench_wire.h"

#define THREADS_MAX 64
#define COUNT_MAX 100000
#define CONNECT_TRIES 200 /* 10 ms apart: a forwarder may need a moment before it listens */
#define WARM_UP 0.1       /* of the time asked for; not counted */

struct load {
	uint16_t tcp_port[PEER_TCP_PORTS];
	int tcp_ports;
	uint16_t udp_port;
	double seconds;
	int threads;
	int count;
};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static struct sockaddr_in
peer_name(uint16_t port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static int
connect_once(uint16_t port)
{
	struct sockaddr_in name = peer_name(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		error(1, errno, "socket");
	if (connect(fd, (struct sockaddr *)&name, sizeof name) < 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

/* A connection for what command says; tries for two seconds, untimed. */
static int
connect_for(const struct load *load, char command)
{
	int fd, tries = 0, on = 1;

	while ((fd = connect_once(load->tcp_port[0])) < 0) {
		if (errno != ECONNREFUSED || ++tries == CONNECT_TRIES)
			error(1, errno, "connect");
		usleep(10000);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (send(fd, &command, 1, MSG_NOSIGNAL) != 1)
		error(1, errno, "send");
	return fd;
}

/* connect, a byte there and back, and the connection; -1 if it failed, with errno. */
static int
connect_and_echo(uint16_t port)
{
	char byte = PEER_ONE_BYTE;
	int fd = connect_once(port);
	ssize_t n;

	if (fd < 0)
		return -1;
	if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || (n = recv(fd, &byte, 1, 0)) < 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	if (n != 1 || byte != PEER_ONE_BYTE) {
		close(fd);
		errno = EPIPE;
		return -1;
	}
	return fd;
}

/* Microseconds for one byte there and back. */
static double
measure_tcp_round_trip(const struct load *load)
{
	int fd = connect_for(load, PEER_ROUND_TRIP);
	double start = now(), counted_from = start + load->seconds * WARM_UP, end = start + load->seconds, t;
	uint64_t trips = 0;
	bool counting = false;
	char byte = 0;

	while ((t = now()) < end) {
		if (!counting && t >= counted_from) {
			counting = true;
			counted_from = t;
			trips = 0;
		}
		if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1)
			error(1, errno, "round trip");
		trips++;
	}
	close(fd);
	if (!counting || trips == 0)
		error(1, 0, "too few round trips to tell");
	return (t - counted_from) / (double)trips * 1e6;
}

/* MB/s towards the peer. The clock stops when the peer has said that it has read everything. */
static double
measure_tcp_up(const struct load *load)
{
	char *chunk = calloc(1, STREAM_CHUNK);
	int fd = connect_for(load, PEER_SINK);
	double start = now(), end = start + load->seconds;
	uint64_t sent = 0, seen = 0;

	if (!chunk)
		error(1, errno, "calloc");
	while (now() < end) {
		ssize_t n = send(fd, chunk, STREAM_CHUNK, MSG_NOSIGNAL);

		if (n < 0)
			error(1, errno, "send");
		sent += (uint64_t)n;
	}
	if (shutdown(fd, SHUT_WR) < 0)
		error(1, errno, "shutdown");
	if (recv(fd, &seen, sizeof seen, MSG_WAITALL) != (ssize_t)sizeof seen)
		error(1, errno, "no count from the peer");
	end = now();
	if (seen != sent)
		error(1, 0, "sent %ju bytes, the peer has read %ju", (uintmax_t)sent, (uintmax_t)seen);
	close(fd);
	free(chunk);
	return (double)seen / (end - start) / 1e6;
}

/* MB/s from the peer. */
static double
measure_tcp_down(const struct load *load)
{
	char *chunk = calloc(1, STREAM_CHUNK);
	int fd = connect_for(load, PEER_SOURCE);
	double start = now(), counted_from = start + load->seconds * WARM_UP, end = start + load->seconds, t;
	uint64_t bytes = 0;
	bool counting = false;

	if (!chunk)
		error(1, errno, "calloc");
	while ((t = now()) < end) {
		ssize_t n;

		if (!counting && t >= counted_from) {
			counting = true;
			counted_from = t;
			bytes = 0;
		}
		n = recv(fd, chunk, STREAM_CHUNK, 0);
		if (n <= 0)
			error(1, n < 0 ? errno : 0, "the stream from the peer ended");
		bytes += (uint64_t)n;
	}
	close(fd);
	free(chunk);
	if (!counting || bytes == 0)
		error(1, 0, "too few bytes to tell");
	return (double)bytes / (t - counted_from) / 1e6;
}

struct connector {
	const struct load *load;
	pthread_t thread;
	int first_port; /* index; each thread starts at another one */
	double end;
	uint64_t done;
	int failure; /* errno */
};

static void *
connector_thread(void *arg)
{
	struct connector *c = arg;

	for (int port = c->first_port; now() < c->end; port++) {
		int fd = connect_and_echo(c->load->tcp_port[port % c->load->tcp_ports]);

		if (fd < 0) {
			c->failure = errno;
			break;
		}
		close(fd);
		c->done++;
	}
	return NULL;
}

/* Connections a second, each with one byte there and back, then closed. */
static double
measure_tcp_connect(const struct load *load)
{
	struct connector connectors[THREADS_MAX] = { 0 };
	uint64_t done = 0;
	double start;

	close(connect_for(load, PEER_ONE_BYTE));
	start = now();
	for (int i = 0; i < load->threads; i++) {
		connectors[i] = (struct connector){ .load = load, .first_port = i, .end = start + load->seconds };
		if (i > 0 && pthread_create(&connectors[i].thread, NULL, connector_thread, &connectors[i]) != 0)
			error(1, 0, "pthread_create");
	}
	connector_thread(&connectors[0]);
	for (int i = 0; i < load->threads; i++) {
		if (i > 0)
			pthread_join(connectors[i].thread, NULL);
		if (connectors[i].failure)
			error(1, connectors[i].failure, "connection %ju of thread %d", (uintmax_t)connectors[i].done + 1, i);
		done += connectors[i].done;
	}
	return (double)done / (now() - start);
}

/* Microseconds for a datagram there and back. A lost one is sent again after 200 ms and spoils the figure, as it should. */
static double
measure_udp_round_trip(const struct load *load, bool connected)
{
	struct sockaddr_in name = peer_name(load->udp_port), from;
	struct timeval patience = { .tv_usec = 200000 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), lost = 0;
	double start, counted_from, end, t;
	uint64_t trips = 0;
	bool counting = false;
	uint8_t number = 0, answer;

	if (fd < 0)
		error(1, errno, "socket");
	if (connected && connect(fd, (struct sockaddr *)&name, sizeof name) < 0)
		error(1, errno, "connect");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0)
		error(1, errno, "SO_RCVTIMEO");
	start = now();
	counted_from = start + load->seconds * WARM_UP;
	end = start + load->seconds;
	while ((t = now()) < end) {
		socklen_t len = sizeof from;
		ssize_t n;

		if (!counting && t >= counted_from && trips > 0) {
			counting = true;
			counted_from = t;
			trips = 0;
		}
		n = connected ? send(fd, &number, 1, 0) : sendto(fd, &number, 1, 0, (struct sockaddr *)&name, sizeof name);
		if (n < 0)
			error(1, errno, "send");
		do
			n = connected ? recv(fd, &answer, 1, 0)
			              : recvfrom(fd, &answer, 1, 0, (struct sockaddr *)&from, &len);
		while (n == 1 && answer != number); /* a late answer to one that was sent again */
		if (n < 0 && errno != EAGAIN)
			error(1, errno, "recv");
		if (n == 1) {
			if (!connected && from.sin_port != name.sin_port)
				error(1, 0, "an answer from port %u", ntohs(from.sin_port));
			number++;
			trips++;
		} else if (++lost > 10) {
			error(1, 0, "more than 10 datagrams lost");
		}
	}
	close(fd);
	if (!counting || trips == 0)
		error(1, 0, "too few round trips to tell");
	return (t - counted_from) / (double)trips * 1e6;
}

static double
measure_udp_connected(const struct load *load)
{
	return measure_udp_round_trip(load, true);
}

static double
measure_udp_unconnected(const struct load *load)
{
	return measure_udp_round_trip(load, false);
}

/*
 * Opens connections and holds them, in step with whoever measures: prints "started", waits for a line, opens, prints the
 * number that stand, and keeps them until the next line or the end of standard input.
 */
static double
measure_idle(const struct load *load)
{
	char line[16];

	puts("started");
	fflush(stdout);
	if (!fgets(line, sizeof line, stdin))
		error(1, 0, "nobody measures");
	for (int i = 0; i < load->count; i++)
		if (connect_and_echo(load->tcp_port[i % load->tcp_ports]) < 0)
			error(1, errno, "connection %d", i + 1);
	printf("%d\n", load->count);
	fflush(stdout);
	if (!fgets(line, sizeof line, stdin))
		line[0] = '\0';
	return load->count;
}

static const struct measure {
	const char *name;
	double (*fn)(const struct load *load);
} measures[] = {
	{ "tcp-round-trip", measure_tcp_round_trip },
	{ "tcp-up", measure_tcp_up },
	{ "tcp-down", measure_tcp_down },
	{ "tcp-connect", measure_tcp_connect },
	{ "udp-connected", measure_udp_connected },
	{ "udp-unconnected", measure_udp_unconnected },
	{ "idle", measure_idle },
};

static void
usage(int status)
{
	fprintf(status ? stderr : stdout,
	        "usage: splitsock-bench-load --tcp PORT[,PORT...] --udp PORT [--seconds S] [--threads N] [--count N]\n"
	        "                            [--cpu N] MEASURE\n"
	        "measures:");
	for (size_t i = 0; i < sizeof measures / sizeof *measures; i++)
		fprintf(status ? stderr : stdout, " %s", measures[i].name);
	fputc('\n', status ? stderr : stdout);
	exit(status);
}

static long
number_within(const char *text, long least, long most)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end || value < least || value > most)
		usage(2);
	return value;
}

static void
parse_ports(struct load *load, char *list)
{
	char *rest = NULL;

	for (char *port = strtok_r(list, ",", &rest); port; port = strtok_r(NULL, ",", &rest)) {
		if (load->tcp_ports == PEER_TCP_PORTS)
			usage(2);
		load->tcp_port[load->tcp_ports++] = (uint16_t)number_within(port, 1, 65535);
	}
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "tcp", required_argument, NULL, 't' },     { "udp", required_argument, NULL, 'u' },
		{ "seconds", required_argument, NULL, 's' }, { "threads", required_argument, NULL, 'j' },
		{ "count", required_argument, NULL, 'n' },   { "cpu", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
	};
	struct load load = { .seconds = 0.7, .threads = 1, .count = 1000 };
	struct rlimit files;
	cpu_set_t cpus;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 't':
			parse_ports(&load, optarg);
			break;
		case 'u':
			load.udp_port = (uint16_t)number_within(optarg, 1, 65535);
			break;
		case 's':
			load.seconds = strtod(optarg, NULL);
			if (!(load.seconds >= 0.01 && load.seconds <= 60))
				usage(2);
			break;
		case 'j':
			load.threads = (int)number_within(optarg, 1, THREADS_MAX);
			break;
		case 'c':
			/* here and not by whoever starts us: what is between us and the peer shall run where it likes */
			CPU_ZERO(&cpus);
			CPU_SET((size_t)number_within(optarg, 0, CPU_SETSIZE - 1), &cpus);
			if (sched_setaffinity(0, sizeof cpus, &cpus) < 0)
				error(1, errno, "--cpu %s", optarg);
			break;
		case 'n':
			load.count = (int)number_within(optarg, 1, COUNT_MAX);
			break;
		default:
			usage(c == 'h' ? 0 : 2);
		}
	}
	if (optind + 1 != argc || load.tcp_ports == 0 || load.udp_port == 0)
		usage(2);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	for (size_t i = 0; i < sizeof measures / sizeof *measures; i++) {
		if (strcmp(argv[optind], measures[i].name) == 0) {
			printf("%.3f\n", measures[i].fn(&load));
			return 0;
		}
	}
	usage(2);
}
