/*
 * Socket options: one table, and how their values travel.
 *
 * Left out on purpose, so that they are ENOPROTOOPT:
 *   - SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_EBPF: the value is a descriptor of the program's
 *   - setting TCP_REPAIR*, and TCP_ZEROCOPY_RECEIVE: the former forges a connection's state, the latter maps the program's memory
 *   - setting TCP_ULP and IPV6_ADDRFORM: they change what the host's socket is, under the gofer
 *   - SO_PEERPIDFD: its value would be a descriptor of the gofer's
 *   - netfilter, IPVS, IPsec: tables and policies of the host
 */
#include "proto/values.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

/* After <netinet/in.h>, these only add what the C library lacks. */
#include <linux/filter.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/netlink.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "proto/values.pb-c.h"

/* Newer than Debian 12's headers. */
#ifndef SO_RCVPRIORITY /* Linux 6.14 */
#if defined __hppa__
#define SO_RCVPRIORITY 0x404d
#elif defined __sparc__
#define SO_RCVPRIORITY 0x5b
#else
#define SO_RCVPRIORITY 82
#endif
#endif
#ifndef SO_DEVMEM_DONTNEED /* Linux 6.12 */
#if defined __sparc__
#define SO_DEVMEM_DONTNEED 0x59
#else
#define SO_DEVMEM_DONTNEED 80
#endif
#endif
#ifndef TCP_AO_ADD_KEY /* Linux 6.7 */
#define TCP_AO_ADD_KEY 38
#define TCP_AO_DEL_KEY 39
#define TCP_AO_INFO 40
#define TCP_AO_GET_KEYS 41
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51 /* Linux 6.3 */
#endif
#ifndef IP_PROTOCOL
#define IP_PROTOCOL 52 /* Linux 6.4 */
#endif
#ifndef TCP_IS_MPTCP
#define TCP_IS_MPTCP 43 /* Linux 6.8 */
#endif
#ifndef TCP_RTO_MAX_MS
#define TCP_RTO_MAX_MS 44 /* Linux 6.15 */
#endif
#ifndef TCP_RTO_MIN_US
#define TCP_RTO_MIN_US 45 /* Linux 6.15 */
#endif
#ifndef TCP_DELACK_MAX_US
#define TCP_DELACK_MAX_US 46 /* Linux 6.15 */
#endif

/* Of no header that is meant for programs. */
#ifndef UDPLITE_SEND_CSCOV
#define UDPLITE_SEND_CSCOV 10
#define UDPLITE_RECV_CSCOV 11
#endif

/* Their headers do not go together with the C library's. */
#define SO_ORIGINAL_DST 80
#define IP6T_SO_ORIGINAL_DST 80

/* The kernel takes them at two levels, and means a little less at IPPROTO_IPV6. */
#define RAW_IPV6_CHECKSUM IPV6_CHECKSUM
#define RAW_IPV6_HDRINCL IPV6_HDRINCL

/* Older headers have them only for who does without the C library's <netinet/in.h>. */
#ifndef IPV6_FLOWINFO
#define IPV6_FLOWINFO 11
#endif
#ifndef IPV6_FLOWLABEL_MGR
#define IPV6_FLOWLABEL_MGR 32
#endif
#ifndef IPV6_FLOWINFO_SEND
#define IPV6_FLOWINFO_SEND 33
#endif

/* The same names serve at two levels. */
#define IP_MCAST_JOIN_GROUP MCAST_JOIN_GROUP
#define IP_MCAST_BLOCK_SOURCE MCAST_BLOCK_SOURCE
#define IP_MCAST_UNBLOCK_SOURCE MCAST_UNBLOCK_SOURCE
#define IP_MCAST_LEAVE_GROUP MCAST_LEAVE_GROUP
#define IP_MCAST_JOIN_SOURCE_GROUP MCAST_JOIN_SOURCE_GROUP
#define IP_MCAST_LEAVE_SOURCE_GROUP MCAST_LEAVE_SOURCE_GROUP
#define IP_MCAST_MSFILTER MCAST_MSFILTER
#define IPV6_MCAST_JOIN_GROUP MCAST_JOIN_GROUP
#define IPV6_MCAST_BLOCK_SOURCE MCAST_BLOCK_SOURCE
#define IPV6_MCAST_UNBLOCK_SOURCE MCAST_UNBLOCK_SOURCE
#define IPV6_MCAST_LEAVE_GROUP MCAST_LEAVE_GROUP
#define IPV6_MCAST_JOIN_SOURCE_GROUP MCAST_JOIN_SOURCE_GROUP
#define IPV6_MCAST_LEAVE_SOURCE_GROUP MCAST_LEAVE_SOURCE_GROUP
#define IPV6_MCAST_MSFILTER MCAST_MSFILTER

/* Columns four to six of the table. */
enum { RO = 1, WO = 2, RW = RO | WO, ASKS = 4 };
enum { SURE = 1, PRIVILEGED = 2 };

/*
 * Every option, once: level, name, enum option_value, enum option_place, access, properties. Table and look-ups are made
 * of this list; the compiler refuses a (level, name) or wire value named twice, and a wire value that the list lacks.
 */
#define OPTIONS(X) \
	X(SOL_SOCKET, SO_DEBUG, INT, HOST, RW, PRIVILEGED) \
	X(SOL_SOCKET, SO_REUSEADDR, INT, HOST, RW, SURE) \
	X(SOL_SOCKET, SO_TYPE, INT, LOCAL, RO, 0) \
	X(SOL_SOCKET, SO_ERROR, ERRNO, HOST, RO, 0) \
	X(SOL_SOCKET, SO_DONTROUTE, INT, HOST, RW, SURE) \
	X(SOL_SOCKET, SO_BROADCAST, INT, HOST, RW, SURE) \
	X(SOL_SOCKET, SO_SNDBUF, INT, HOST, RW, SURE) \
	X(SOL_SOCKET, SO_RCVBUF, INT, HOST, RW, SURE) \
	X(SOL_SOCKET, SO_SNDBUFFORCE, INT, HOST, WO, PRIVILEGED) \
	X(SOL_SOCKET, SO_RCVBUFFORCE, INT, HOST, WO, PRIVILEGED) \
	X(SOL_SOCKET, SO_KEEPALIVE, INT, HOST, RW, SURE) \
	X(SOL_SOCKET, SO_OOBINLINE, INT, LINK, RW, 0) \
	X(SOL_SOCKET, SO_NO_CHECK, INT, HOST, RW, 0) \
	X(SOL_SOCKET, SO_PRIORITY, INT, HOST, RW, PRIVILEGED) \
	X(SOL_SOCKET, SO_LINGER, LINGER, HOST, RW, 0) \
	X(SOL_SOCKET, SO_BSDCOMPAT, INT, HOST, RW, 0) \
	X(SOL_SOCKET, SO_REUSEPORT, INT, HOST, RW, SURE) \
	X(SOL_SOCKET, SO_PASSCRED, INT, HOST, RW, 0) \
	X(SOL_SOCKET, SO_PEERCRED, INTS, HOST, RO, 0) \
	X(SOL_SOCKET, SO_RCVLOWAT, INT, LINK, RW, 0) \
	X(SOL_SOCKET, SO_SNDLOWAT, INT, LINK, RO, 0) \
	X(SOL_SOCKET, SO_RCVTIMEO_OLD, TIMEVAL_WORDS, LINK, RW, 0) \
	X(SOL_SOCKET, SO_SNDTIMEO_OLD, TIMEVAL_WORDS, LINK, RW, 0) \
	X(SOL_SOCKET, SO_BINDTODEVICE, STRING, HOST, RW, PRIVILEGED) \
	X(SOL_SOCKET, SO_ATTACH_FILTER, FILTER, HOST, RW, 0) \
	X(SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, FILTER, HOST, WO, 0) \
	X(SOL_SOCKET, SO_DETACH_FILTER, INT, HOST, WO, 0) \
	X(SOL_SOCKET, SO_PEERNAME, BYTES, LOCAL, RO, 0) \
	X(SOL_SOCKET, SO_TIMESTAMP_OLD, INT, HOST, RW, SURE) \
	X(SOL_SOCKET, SO_ACCEPTCONN, INT, LOCAL, RO, 0) \
	X(SOL_SOCKET, SO_PASSSEC, INT, HOST, RW, 0) \
	X(SOL_SOCKET, SO_TIMESTAMPNS_OLD, INT, HOST, RW, SURE) \
	X(SOL_SOCKET, SO_MARK, INT, HOST, RW, PRIVILEGED) \
	X(SOL_SOCKET, SO_TIMESTAMPING_OLD, INTS, HOST, RW, 0) \
	X(SOL_SOCKET, SO_PROTOCOL, INT, LOCAL, RO, 0) \
	X(SOL_SOCKET, SO_DOMAIN, INT, LOCAL, RO, 0) \
	X(SOL_SOCKET, SO_RXQ_OVFL, INT, HOST, RW, 0) \
	X(SOL_SOCKET, SO_WIFI_STATUS, INT, HOST, RW, 0) \
	X(SOL_SOCKET, SO_PEEK_OFF, INT, LINK, RW, 0) \
	X(SOL_SOCKET, SO_NOFCS, INT, HOST, RW, 0) \
	X(SOL_SOCKET, SO_LOCK_FILTER, INT, HOST, RW, 0) \
	X(SOL_SOCKET, SO_SELECT_ERR_QUEUE, INT, HOST, RW, 0) \
	X(SOL_SOCKET, SO_BUSY_POLL, INT, HOST, RW, PRIVILEGED) \
	X(SOL_SOCKET, SO_MAX_PACING_RATE, LONG, HOST, RW, 0) \
	X(SOL_SOCKET, SO_BPF_EXTENSIONS, INT, HOST, RO, 0) \
	X(SOL_SOCKET, SO_INCOMING_CPU, INT, HOST, RW, 0) \
	X(SOL_SOCKET, SO_CNX_ADVICE, INT, HOST, WO, 0) \
	X(SOL_SOCKET, SO_MEMINFO, INTS, HOST, RO, 0) \
	X(SOL_SOCKET, SO_INCOMING_NAPI_ID, INT, HOST, RO, 0) \
	X(SOL_SOCKET, SO_COOKIE, BYTES, HOST, RO, 0) \
	X(SOL_SOCKET, SO_PEERGROUPS, BYTES, HOST, RO, 0) \
	X(SOL_SOCKET, SO_ZEROCOPY, INT, LOCAL, RW, 0) \
	X(SOL_SOCKET, SO_TXTIME, INTS, HOST, RW, PRIVILEGED) \
	X(SOL_SOCKET, SO_BINDTOIFINDEX, INT, HOST, RW, PRIVILEGED) \
	X(SOL_SOCKET, SO_TIMESTAMP_NEW, INT, HOST, RW, SURE) \
	X(SOL_SOCKET, SO_TIMESTAMPNS_NEW, INT, HOST, RW, SURE) \
	X(SOL_SOCKET, SO_TIMESTAMPING_NEW, INTS, HOST, RW, 0) \
	X(SOL_SOCKET, SO_RCVTIMEO_NEW, TIMEVAL, LINK, RW, 0) \
	X(SOL_SOCKET, SO_SNDTIMEO_NEW, TIMEVAL, LINK, RW, 0) \
	X(SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, INT, HOST, WO, 0) \
	X(SOL_SOCKET, SO_PREFER_BUSY_POLL, INT, HOST, RW, PRIVILEGED) \
	X(SOL_SOCKET, SO_BUSY_POLL_BUDGET, INT, HOST, WO, PRIVILEGED) \
	X(SOL_SOCKET, SO_NETNS_COOKIE, BYTES, HOST, RO, 0) \
	X(SOL_SOCKET, SO_BUF_LOCK, INT, HOST, RW, 0) \
	X(SOL_SOCKET, SO_RESERVE_MEM, INT, HOST, RW, 0) \
	X(SOL_SOCKET, SO_TXREHASH, INT, HOST, RW, 0) \
	X(SOL_SOCKET, SO_RCVMARK, INT, HOST, RW, PRIVILEGED) \
	X(SOL_SOCKET, SO_RCVPRIORITY, INT, HOST, RW, 0) \
	X(SOL_SOCKET, SO_DEVMEM_DONTNEED, BYTES, HOST, WO, 0) \
	X(IPPROTO_TCP, TCP_NODELAY, INT, HOST, RW, SURE) \
	X(IPPROTO_TCP, TCP_MAXSEG, INT, HOST, RW, 0) \
	X(IPPROTO_TCP, TCP_CORK, INT, HOST, RW, SURE) \
	X(IPPROTO_TCP, TCP_KEEPIDLE, INT, HOST, RW, 0) \
	X(IPPROTO_TCP, TCP_KEEPINTVL, INT, HOST, RW, 0) \
	X(IPPROTO_TCP, TCP_KEEPCNT, INT, HOST, RW, 0) \
	X(IPPROTO_TCP, TCP_SYNCNT, INT, HOST, RW, 0) \
	X(IPPROTO_TCP, TCP_LINGER2, INT, HOST, RW, SURE) \
	X(IPPROTO_TCP, TCP_DEFER_ACCEPT, INT, HOST, RW, SURE) \
	X(IPPROTO_TCP, TCP_WINDOW_CLAMP, INT, HOST, RW, 0) \
	X(IPPROTO_TCP, TCP_INFO, BYTES, HOST, RO, 0) \
	X(IPPROTO_TCP, TCP_QUICKACK, INT, HOST, RW, SURE) \
	X(IPPROTO_TCP, TCP_CONGESTION, STRING, HOST, RW, PRIVILEGED) \
	X(IPPROTO_TCP, TCP_MD5SIG, BYTES, HOST, WO, 0) \
	X(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, INT, HOST, RW, 0) \
	X(IPPROTO_TCP, TCP_REPAIR, INT, HOST, RO, 0) \
	X(IPPROTO_TCP, TCP_AO_ADD_KEY, BYTES, HOST, WO, 0) \
	X(IPPROTO_TCP, TCP_AO_DEL_KEY, BYTES, HOST, WO, 0) \
	X(IPPROTO_TCP, TCP_AO_INFO, BYTES, HOST, RW | ASKS, 0) \
	X(IPPROTO_TCP, TCP_AO_GET_KEYS, BYTES, HOST, RO | ASKS, 0) \
	X(IPPROTO_TCP, TCP_THIN_DUPACK, INT, HOST, RW, 0) \
	X(IPPROTO_TCP, TCP_USER_TIMEOUT, INT, HOST, RW, 0) \
	X(IPPROTO_TCP, TCP_FASTOPEN, INT, HOST, RW, 0) \
	X(IPPROTO_TCP, TCP_TIMESTAMP, INT, HOST, RW, 0) \
	X(IPPROTO_TCP, TCP_NOTSENT_LOWAT, INT, HOST, RW, SURE) \
	X(IPPROTO_TCP, TCP_CC_INFO, BYTES, HOST, RO, 0) \
	X(IPPROTO_TCP, TCP_SAVE_SYN, INT, HOST, RW, 0) \
	X(IPPROTO_TCP, TCP_SAVED_SYN, BYTES, HOST, RO, 0) \
	X(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, INT, HOST, RW, 0) \
	X(IPPROTO_TCP, TCP_ULP, STRING, HOST, RO, 0) \
	X(IPPROTO_TCP, TCP_MD5SIG_EXT, BYTES, HOST, WO, 0) \
	X(IPPROTO_TCP, TCP_FASTOPEN_KEY, BYTES, HOST, RW, 0) \
	X(IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, INT, HOST, RW, 0) \
	X(IPPROTO_TCP, TCP_INQ, INT, LOCAL, RW, 0) \
	X(IPPROTO_TCP, TCP_TX_DELAY, INT, HOST, RW, 0) \
	X(IPPROTO_TCP, TCP_IS_MPTCP, INT, HOST, RO, 0) \
	X(IPPROTO_TCP, TCP_RTO_MAX_MS, INT, HOST, RW, 0) \
	X(IPPROTO_TCP, TCP_RTO_MIN_US, INT, HOST, RW, 0) \
	X(IPPROTO_TCP, TCP_DELACK_MAX_US, INT, HOST, RW, 0) \
	X(IPPROTO_UDP, UDP_CORK, INT, HOST, RW, 0) \
	X(IPPROTO_UDP, UDPLITE_SEND_CSCOV, INT, HOST, RW, 0) \
	X(IPPROTO_UDP, UDPLITE_RECV_CSCOV, INT, HOST, RW, 0) \
	X(IPPROTO_UDP, UDP_ENCAP, INT, HOST, RW, 0) \
	X(IPPROTO_UDP, UDP_NO_CHECK6_TX, INT, HOST, RW, 0) \
	X(IPPROTO_UDP, UDP_NO_CHECK6_RX, INT, HOST, RW, 0) \
	X(IPPROTO_UDP, UDP_SEGMENT, INT, HOST, RW, 0) \
	X(IPPROTO_UDP, UDP_GRO, INT, HOST, RW, 0) \
	X(IPPROTO_IP, IP_TOS, INT_EMPTY, HOST, RW, SURE) \
	X(IPPROTO_IP, IP_TTL, INT_SHORT, HOST, RW, 0) \
	X(IPPROTO_IP, IP_HDRINCL, INT_EMPTY, HOST, RW, 0) \
	X(IPPROTO_IP, IP_OPTIONS, BYTES, HOST, RW, PRIVILEGED) \
	X(IPPROTO_IP, IP_ROUTER_ALERT, INT_EMPTY, HOST, RW, 0) \
	X(IPPROTO_IP, IP_RECVOPTS, INT_EMPTY, HOST, RW, SURE) \
	X(IPPROTO_IP, IP_RETOPTS, INT_EMPTY, HOST, RW, SURE) \
	X(IPPROTO_IP, IP_PKTOPTIONS, BYTES, HOST, RO, 0) \
	X(IPPROTO_IP, IP_PKTINFO, INT_EMPTY, HOST, RW, SURE) \
	X(IPPROTO_IP, IP_MTU_DISCOVER, INT_EMPTY, HOST, RW, 0) \
	X(IPPROTO_IP, IP_RECVERR, INT_EMPTY, HOST, RW, SURE) \
	X(IPPROTO_IP, IP_RECVTTL, INT_EMPTY, HOST, RW, SURE) \
	X(IPPROTO_IP, IP_RECVTOS, INT_EMPTY, HOST, RW, SURE) \
	X(IPPROTO_IP, IP_MTU, INT_EMPTY, HOST, RO, 0) \
	X(IPPROTO_IP, IP_FREEBIND, INT_SHORT, HOST, RW, 0) \
	X(IPPROTO_IP, IP_PASSSEC, INT_EMPTY, HOST, RW, 0) \
	X(IPPROTO_IP, IP_TRANSPARENT, INT_SHORT, HOST, RW, PRIVILEGED) \
	X(IPPROTO_IP, IP_RECVORIGDSTADDR, INT_EMPTY, HOST, RW, SURE) \
	X(IPPROTO_IP, IP_MINTTL, INT_SHORT, HOST, RW, 0) \
	X(IPPROTO_IP, IP_NODEFRAG, INT_EMPTY, HOST, RW, 0) \
	X(IPPROTO_IP, IP_CHECKSUM, INT_EMPTY, HOST, RW, 0) \
	X(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, INT_EMPTY, HOST, RW, SURE) \
	X(IPPROTO_IP, IP_RECVFRAGSIZE, INT_EMPTY, HOST, RW, 0) \
	X(IPPROTO_IP, IP_RECVERR_RFC4884, INT_EMPTY, HOST, RW, 0) \
	X(IPPROTO_IP, IP_MULTICAST_IF, BYTES, HOST, RW, 0) \
	X(IPPROTO_IP, IP_MULTICAST_TTL, INT_SHORT, HOST, RW, 0) \
	X(IPPROTO_IP, IP_MULTICAST_LOOP, INT_SHORT, HOST, RW, SURE) \
	X(IPPROTO_IP, IP_ADD_MEMBERSHIP, BYTES, HOST, WO, 0) \
	X(IPPROTO_IP, IP_DROP_MEMBERSHIP, BYTES, HOST, WO, 0) \
	X(IPPROTO_IP, IP_UNBLOCK_SOURCE, BYTES, HOST, WO, 0) \
	X(IPPROTO_IP, IP_BLOCK_SOURCE, BYTES, HOST, WO, 0) \
	X(IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, BYTES, HOST, WO, 0) \
	X(IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, BYTES, HOST, WO, 0) \
	X(IPPROTO_IP, IP_MSFILTER, BYTES, HOST, RW | ASKS, 0) \
	X(IPPROTO_IP, IP_MCAST_JOIN_GROUP, BYTES, HOST, WO, 0) \
	X(IPPROTO_IP, IP_MCAST_BLOCK_SOURCE, BYTES, HOST, WO, 0) \
	X(IPPROTO_IP, IP_MCAST_UNBLOCK_SOURCE, BYTES, HOST, WO, 0) \
	X(IPPROTO_IP, IP_MCAST_LEAVE_GROUP, BYTES, HOST, WO, 0) \
	X(IPPROTO_IP, IP_MCAST_JOIN_SOURCE_GROUP, BYTES, HOST, WO, 0) \
	X(IPPROTO_IP, IP_MCAST_LEAVE_SOURCE_GROUP, BYTES, HOST, WO, 0) \
	X(IPPROTO_IP, IP_MCAST_MSFILTER, BYTES, HOST, RW | ASKS, 0) \
	X(IPPROTO_IP, IP_MULTICAST_ALL, INT_SHORT, HOST, RW, 0) \
	X(IPPROTO_IP, IP_UNICAST_IF, BYTES, HOST, RW, 0) \
	X(IPPROTO_IP, IP_LOCAL_PORT_RANGE, INT_EXACT, HOST, RW, 0) \
	X(IPPROTO_IP, SO_ORIGINAL_DST, BYTES, HOST, RO, 0) \
	X(IPPROTO_IP, IP_PROTOCOL, INT_EMPTY, HOST, RO, 0) \
	X(IPPROTO_IPV6, IPV6_ADDRFORM, INT, HOST, RO, 0) \
	X(IPPROTO_IPV6, IPV6_2292PKTINFO, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_2292HOPOPTS, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_2292DSTOPTS, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_2292RTHDR, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_2292PKTOPTIONS, BYTES, HOST, RW, PRIVILEGED) \
	X(IPPROTO_IPV6, IPV6_CHECKSUM, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_2292HOPLIMIT, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_FLOWINFO, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_UNICAST_HOPS, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_MULTICAST_IF, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, BYTES, HOST, WO, 0) \
	X(IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, BYTES, HOST, WO, 0) \
	X(IPPROTO_IPV6, IPV6_ROUTER_ALERT, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_MTU_DISCOVER, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_MTU, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_RECVERR, INT, HOST, RW, SURE) \
	X(IPPROTO_IPV6, IPV6_V6ONLY, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_JOIN_ANYCAST, BYTES, HOST, WO, PRIVILEGED) \
	X(IPPROTO_IPV6, IPV6_LEAVE_ANYCAST, BYTES, HOST, WO, 0) \
	X(IPPROTO_IPV6, IPV6_MULTICAST_ALL, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_ROUTER_ALERT_ISOLATE, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_RECVERR_RFC4884, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_FLOWLABEL_MGR, BYTES, HOST, RW | ASKS, PRIVILEGED) \
	X(IPPROTO_IPV6, IPV6_FLOWINFO_SEND, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_HDRINCL, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_MCAST_JOIN_GROUP, BYTES, HOST, WO, 0) \
	X(IPPROTO_IPV6, IPV6_MCAST_BLOCK_SOURCE, BYTES, HOST, WO, 0) \
	X(IPPROTO_IPV6, IPV6_MCAST_UNBLOCK_SOURCE, BYTES, HOST, WO, 0) \
	X(IPPROTO_IPV6, IPV6_MCAST_LEAVE_GROUP, BYTES, HOST, WO, 0) \
	X(IPPROTO_IPV6, IPV6_MCAST_JOIN_SOURCE_GROUP, BYTES, HOST, WO, 0) \
	X(IPPROTO_IPV6, IPV6_MCAST_LEAVE_SOURCE_GROUP, BYTES, HOST, WO, 0) \
	X(IPPROTO_IPV6, IPV6_MCAST_MSFILTER, BYTES, HOST, RW | ASKS, 0) \
	X(IPPROTO_IPV6, IPV6_RECVPKTINFO, INT, HOST, RW, SURE) \
	X(IPPROTO_IPV6, IPV6_PKTINFO, BYTES, HOST, WO, 0) \
	X(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, INT, HOST, RW, SURE) \
	X(IPPROTO_IPV6, IPV6_RECVHOPOPTS, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_HOPOPTS, BYTES, HOST, RW, PRIVILEGED) \
	X(IPPROTO_IPV6, IPV6_RTHDRDSTOPTS, BYTES, HOST, RW, PRIVILEGED) \
	X(IPPROTO_IPV6, IPV6_RECVRTHDR, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_RTHDR, BYTES, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_RECVDSTOPTS, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_DSTOPTS, BYTES, HOST, RW, PRIVILEGED) \
	X(IPPROTO_IPV6, IPV6_RECVPATHMTU, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_PATHMTU, BYTES, HOST, RO, 0) \
	X(IPPROTO_IPV6, IPV6_DONTFRAG, INT_LAX, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_RECVTCLASS, INT, HOST, RW, SURE) \
	X(IPPROTO_IPV6, IPV6_TCLASS, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, INT_LAX, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_MINHOPCOUNT, INT, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, INT, HOST, RW, SURE) \
	X(IPPROTO_IPV6, IPV6_TRANSPARENT, INT, HOST, RW, PRIVILEGED) \
	X(IPPROTO_IPV6, IPV6_UNICAST_IF, BYTES, HOST, RW, 0) \
	X(IPPROTO_IPV6, IPV6_RECVFRAGSIZE, INT_LAX, HOST, RW, 0) \
	X(IPPROTO_IPV6, IP6T_SO_ORIGINAL_DST, BYTES, HOST, RO, 0) \
	X(IPPROTO_IPV6, IPV6_FREEBIND, INT, HOST, RW, 0) \
	X(SOL_RAW, ICMP_FILTER, MASK, HOST, RW, 0) \
	X(SOL_RAW, RAW_IPV6_CHECKSUM, INT, HOST, RW, 0) \
	X(SOL_RAW, RAW_IPV6_HDRINCL, INT, HOST, RW, 0) \
	X(IPPROTO_ICMPV6, ICMPV6_FILTER, MASK, HOST, RW, 0) \
	X(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, INT, HOST, WO, PRIVILEGED) \
	X(SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, INT, HOST, WO, 0) \
	X(SOL_NETLINK, NETLINK_PKTINFO, INT, HOST, RW, 0) \
	X(SOL_NETLINK, NETLINK_BROADCAST_ERROR, INT, HOST, RW, 0) \
	X(SOL_NETLINK, NETLINK_NO_ENOBUFS, INT, HOST, RW, 0) \
	X(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, INT, HOST, RW, PRIVILEGED) \
	X(SOL_NETLINK, NETLINK_CAP_ACK, INT, HOST, RW, 0) \
	X(SOL_NETLINK, NETLINK_EXT_ACK, INT, HOST, RW, 0) \
	X(SOL_NETLINK, NETLINK_GET_STRICT_CHK, INT, HOST, RW, 0)

static const struct socket_option options[] = {
#define ROW(LEVEL, NAME, VALUE, PLACE, ACCESS, PROPERTIES) \
	[SPLITSOCK__OPTION__OPTION_##NAME] = { \
		.wire = SPLITSOCK__OPTION__OPTION_##NAME, \
		.text = #NAME, \
		.level = LEVEL, \
		.name = NAME, \
		.value = OPTION_##VALUE, \
		.place = OPTION_##PLACE, \
		.settable = ((ACCESS) & WO) != 0, \
		.gettable = ((ACCESS) & RO) != 0, \
		.asks = ((ACCESS) & ASKS) != 0, \
		.sure = ((PROPERTIES) & SURE) != 0, \
		.privileged = ((PROPERTIES) & PRIVILEGED) != 0, \
	},
	OPTIONS(ROW)
};

#define COUNT(...) +1
static_assert(1 OPTIONS(COUNT) == sizeof options / sizeof options[0], "values.proto numbers them without gaps");

const struct socket_option *
option_by_wire(uint32_t wire)
{
	switch ((Splitsock__Option)wire) {
#define BY_WIRE(LEVEL, NAME, ...) case SPLITSOCK__OPTION__OPTION_##NAME:
		OPTIONS(BY_WIRE)
		return &options[wire];
	case SPLITSOCK__OPTION__OPTION_UNSPECIFIED:
	case _SPLITSOCK__OPTION_IS_INT_SIZE:
		break;
	}
	return NULL;
}

#define HOST_KEY(level, name) ((uint64_t)(uint32_t)(level) << 32 | (uint32_t)(name))

const struct socket_option *
option_by_host(int level, int name)
{
	switch (HOST_KEY(level, name)) {
#define BY_HOST(LEVEL, NAME, ...) \
	case HOST_KEY(LEVEL, NAME): \
		return &options[SPLITSOCK__OPTION__OPTION_##NAME];
		OPTIONS(BY_HOST)
	}
	return NULL;
}

bool
option_is_sure_on(const struct socket_option *option, int family, int type, int protocol)
{
	bool tcp = type == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP);
	bool udp = type == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP);

	if (!option->sure || (family != AF_INET && family != AF_INET6) || (!tcp && !udp))
		return false;
	switch (option->level) {
	case SOL_SOCKET:
	case IPPROTO_IP: /* AF_INET6 sockets take them, too */
		return true;
	case IPPROTO_IPV6:
		return family == AF_INET6;
	case IPPROTO_TCP:
		return tcp;
	case IPPROTO_UDP:
		return udp;
	}
	return false;
}

/* ---- values ---------------------------------------------------------------------------------------- */

/*
 * A value as numbers of 4 or 8 bytes: at least `count` of them, at most `count_max`. Kinds that are no numbers have none. Where a
 * number's size differs between host and wire, the host is a 32-bit one.
 */
struct shape {
	size_t count, count_max;
	size_t host_size, wire_size;
};

#define OPTION_STRING_MAX 16u /* TCP_CA_NAME_MAX, IFNAMSIZ */
#define INTS_MAX 64u /* SO_MEMINFO has 9 in Linux 6.18 */
#define MASK_WORDS_MAX 8u /* struct icmp6_filter */

/* For a value of so many host bytes: an OPTION_LONG is known by it. */
static struct shape
shape_of(enum option_value value, size_t host_len)
{
	switch (value) {
	case OPTION_INT:
	case OPTION_INT_EXACT:
	case OPTION_INT_SHORT:
	case OPTION_INT_EMPTY:
	case OPTION_INT_LAX:
	case OPTION_ERRNO:
		return (struct shape){1, 1, 4, 4};
	case OPTION_INTS:
		return (struct shape){1, INTS_MAX, 4, 4};
	case OPTION_MASK:
		return (struct shape){1, MASK_WORDS_MAX, 4, 4};
	case OPTION_LONG:
		if (sizeof(long) == 4 || host_len < 8)
			return (struct shape){1, 1, 4, 4};
		return (struct shape){1, 1, 8, 8};
	case OPTION_LINGER:
		return (struct shape){2, 2, 4, 4};
	case OPTION_TIMEVAL:
		return (struct shape){2, 2, 8, 8};
	case OPTION_TIMEVAL_WORDS:
		return (struct shape){2, 2, sizeof(long), 8};
	case OPTION_FILTER:
	case OPTION_STRING:
	case OPTION_BYTES:
		break;
	}
	return (struct shape){0, 0, 1, 1};
}
static_assert(sizeof(int) == 4, "Linux");
static_assert(sizeof(struct linger) == 2 * sizeof(int), "two ints");

/* For a value that came with so many wire bytes. */
static struct shape
shape_on_wire(enum option_value value, size_t wire_len)
{
	struct shape shape = shape_of(value, wire_len);

	if (value == OPTION_LONG && wire_len >= 8)
		shape.wire_size = 8;
	return shape;
}

static int64_t
host_number(const uint8_t *at, size_t size)
{
	int32_t small;
	int64_t large;

	if (size == 8) {
		memcpy(&large, at, 8);
		return large;
	}
	memcpy(&small, at, 4);
	return small;
}

static void
numbers_to_wire(uint8_t *out, const uint8_t *host, size_t count, struct shape shape)
{
	for (size_t i = 0; i < count; i++, host += shape.host_size) {
		uint64_t number = (uint64_t)host_number(host, shape.host_size);

		for (size_t byte = 0; byte < shape.wire_size; byte++)
			*out++ = (uint8_t)(number >> 8 * byte);
	}
}

/* A number that is too large for a word becomes the largest one, as the kernel has it when it is asked through one. */
static void
numbers_to_host(uint8_t *out, const uint8_t *wire, size_t count, struct shape shape, bool is_signed)
{
	for (size_t i = 0; i < count; i++, out += shape.host_size) {
		uint64_t number = 0;
		uint32_t small;

		for (size_t byte = 0; byte < shape.wire_size; byte++)
			number |= (uint64_t)*wire++ << 8 * byte;
		if (shape.host_size == 8) {
			memcpy(out, &number, 8);
			continue;
		}
		if (shape.wire_size == 8 && is_signed && (int64_t)number > INT32_MAX)
			small = INT32_MAX;
		else if (shape.wire_size == 8 && is_signed && (int64_t)number < INT32_MIN)
			small = (uint32_t)INT32_MIN;
		else if (shape.wire_size == 8 && !is_signed && number > UINT32_MAX)
			small = UINT32_MAX;
		else
			small = (uint32_t)number;
		memcpy(out, &small, 4);
	}
}

static ssize_t
copy(void *out, size_t out_cap, const void *in, size_t len)
{
	if (len > out_cap)
		return -ENOBUFS;
	if (len)
		memcpy(out, in, len);
	return (ssize_t)len;
}

static_assert(OPTION_VALUE_MAX == BPF_MAXINSNS * sizeof(struct sock_filter), "as many instructions as Linux takes");

/* Returns the length, which is the same on both sides, or as option_encode() does. */
static ssize_t
filter_length(size_t len, size_t out_cap)
{
	if (len == 0 || len > OPTION_VALUE_MAX || len % sizeof(struct sock_filter))
		return -EINVAL;
	return len > out_cap ? -ENOBUFS : (ssize_t)len;
}

static void
filter_to_wire(uint8_t *out, const uint8_t *host, size_t len)
{
	struct sock_filter one;

	for (const uint8_t *end = host + len; host < end; host += sizeof one, out += sizeof one) {
		memcpy(&one, host, sizeof one);
		memcpy(out, (uint8_t[]){(uint8_t)one.code, (uint8_t)(one.code >> 8), one.jt, one.jf, (uint8_t)one.k,
		                        (uint8_t)(one.k >> 8), (uint8_t)(one.k >> 16), (uint8_t)(one.k >> 24)}, sizeof one);
	}
}

static void
filter_to_host(uint8_t *out, const uint8_t *wire, size_t len)
{
	for (const uint8_t *end = wire + len; wire < end; wire += sizeof(struct sock_filter), out += sizeof(struct sock_filter)) {
		struct sock_filter one = {
			.code = (uint16_t)(wire[0] | wire[1] << 8),
			.jt = wire[2],
			.jf = wire[3],
			.k = wire[4] | (uint32_t)wire[5] << 8 | (uint32_t)wire[6] << 16 | (uint32_t)wire[7] << 24,
		};

		memcpy(out, &one, sizeof one);
	}
}

/* Whole words, and of one that is cut short the bytes that there are: Linux takes any length, and leaves the rest of the mask as it was. */
static ssize_t
mask_encode(uint8_t *out, size_t out_cap, const uint8_t *host, size_t len, struct shape shape)
{
	size_t count;

	if (len == 0) /* none need be anywhere */
		return 0;
	if (len > shape.count_max * shape.host_size)
		len = shape.count_max * shape.host_size;
	if (len > out_cap)
		return -ENOBUFS;
	count = len / shape.host_size;
	numbers_to_wire(out, host, count, shape);
	copy(out + count * shape.wire_size, out_cap, host + count * shape.host_size, len % shape.host_size);
	return (ssize_t)len;
}

static ssize_t
mask_decode(uint8_t *out, size_t out_cap, const uint8_t *wire, size_t len, struct shape shape)
{
	size_t count = len / shape.wire_size;

	if (len == 0)
		return 0;
	if (len > shape.count_max * shape.wire_size)
		return -EINVAL;
	if (len > out_cap)
		return -ENOBUFS;
	numbers_to_host(out, wire, count, shape, false);
	copy(out + count * shape.host_size, out_cap, wire + count * shape.wire_size, len % shape.wire_size);
	return (ssize_t)len;
}

/* What Linux makes of an int given with fewer than 4 bytes. Returns 0 or -EINVAL. */
static int
short_int(enum option_value value, const void *host, size_t host_len, int *number)
{
	*number = 0;
	if (value == OPTION_INT_LAX || (value == OPTION_INT_EMPTY && host_len == 0))
		return 0;
	if ((value != OPTION_INT_SHORT && value != OPTION_INT_EMPTY) || host_len == 0)
		return -EINVAL;
	*number = *(const unsigned char *)host;
	return 0;
}

size_t
option_reads(const struct socket_option *option, size_t host_len)
{
	struct shape shape = shape_of(option->value, host_len);
	size_t most = option->value == OPTION_STRING ? OPTION_STRING_MAX
	              : option->value == OPTION_INTS ? 2 * sizeof(int)
	              : shape.count * shape.host_size;

	if (option->value == OPTION_MASK)
		most = option->level == SOL_RAW ? sizeof(struct icmp_filter) : MASK_WORDS_MAX * sizeof(uint32_t);
	return option->value == OPTION_BYTES || option->value == OPTION_FILTER || host_len < most ? host_len : most;
}

ssize_t
option_encode(const struct socket_option *option, const void *host, size_t host_len, uint8_t *out, size_t out_cap)
{
	struct shape shape = shape_of(option->value, host_len);
	size_t count;
	int number;

	if (option->value == OPTION_FILTER) {
		ssize_t len = filter_length(host_len, out_cap);

		if (len > 0)
			filter_to_wire(out, host, host_len);
		return len;
	}
	if (shape.count == 0)
		return copy(out, out_cap, host, host_len);
	if (option->value == OPTION_MASK)
		return mask_encode(out, out_cap, host, host_len, shape);
	if (option->value == OPTION_INT_EXACT && host_len != sizeof number)
		return -EINVAL;
	if (shape.count_max == 1 && host_len < sizeof number) {
		int error = short_int(option->value, host, host_len, &number);

		if (error)
			return error;
		host = &number;
		host_len = sizeof number;
	}
	if (option->value == OPTION_ERRNO) {
		memcpy(&number, host, sizeof number);
		number = (int)wire_errno(number);
		host = &number;
	}
	count = host_len / shape.host_size;
	if (count < shape.count)
		return -EINVAL;
	if (count > shape.count_max)
		count = shape.count_max;
	if (count * shape.wire_size > out_cap)
		return -ENOBUFS;
	numbers_to_wire(out, host, count, shape);
	return (ssize_t)(count * shape.wire_size);
}

ssize_t
option_decode(const struct socket_option *option, const uint8_t *wire, size_t wire_len, void *out, size_t out_cap)
{
	struct shape shape = shape_on_wire(option->value, wire_len);
	size_t count = wire_len / shape.wire_size;

	if (option->value == OPTION_FILTER) {
		ssize_t len = filter_length(wire_len, out_cap);

		if (len > 0)
			filter_to_host(out, wire, wire_len);
		return len;
	}
	if (shape.count == 0)
		return copy(out, out_cap, wire, wire_len);
	if (option->value == OPTION_MASK)
		return mask_decode(out, out_cap, wire, wire_len, shape);
	if (wire_len % shape.wire_size || count < shape.count || count > shape.count_max)
		return -EINVAL;
	if (count * shape.host_size > out_cap)
		return -ENOBUFS;
	numbers_to_host(out, wire, count, shape, option->value != OPTION_LONG);
	if (option->value == OPTION_ERRNO) {
		int number;

		memcpy(&number, out, sizeof number);
		number = host_errno((uint32_t)number);
		memcpy(out, &number, sizeof number);
	}
	return (ssize_t)(count * shape.host_size);
}

size_t
option_room(const struct socket_option *option, size_t room)
{
	struct shape shape = shape_of(option->value, room);

	if (shape.count == 0)
		return room;
	if (shape.count == shape.count_max || room == 0)
		return shape.count * shape.host_size;
	if (room > shape.count_max * shape.host_size)
		return shape.count_max * shape.host_size;
	return (room + shape.host_size - 1) / shape.host_size * shape.host_size;
}

size_t
option_cut(const struct socket_option *option, void *host, size_t host_len, size_t room)
{
	int number;

	/* do_ip_getsockopt(): a small number fits a byte, other cuts are blind. */
	if (option->level == IPPROTO_IP && shape_of(option->value, host_len).count == 1 && host_len == sizeof number &&
	    room > 0 && room < sizeof number) {
		memcpy(&number, host, sizeof number);
		if (number >= 0 && number <= 255) {
			*(unsigned char *)host = (unsigned char)number;
			return 1;
		}
	}
	return host_len < room ? host_len : room;
}
