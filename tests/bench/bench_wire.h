/* What splitsock-bench-load and splitsock-bench-peer say to each other. */
#ifndef SPLITSOCK_BENCH_WIRE_H
#define SPLITSOCK_BENCH_WIRE_H

/* The first byte on a TCP connection says what it is for. */
#define PEER_ONE_BYTE 'c'    /* answered by the same byte; the connection stays open until the load closes it */
#define PEER_ROUND_TRIP 'r'  /* every byte after it is answered by the same byte */
#define PEER_SINK 'u'        /* all that follows is read and counted; at FIN, the count comes back as a uint64_t */
#define PEER_SOURCE 'd'      /* the peer sends for as long as the load takes it */

/* Each connection leaves a TIME_WAIT for a minute. Four times 28,232 ephemeral ports last longer than the second after which
 * Linux reuses one on the loopback, and stay below the 131,072 (net.ipv4.tcp_max_tw_buckets) beyond which it drops them. */
#define PEER_TCP_PORTS 4

#define STREAM_CHUNK (256u * 1024)

#endif
