/*
 * The counters, in one table: what each is called, what it counts, and where it is taken. The gofer's tallies, the wire
 * (Counter.number), ss_stats(), splitsock-ctl and their tests all follow from it.
 *
 * Names are Prometheus': `_total` for what only grows, a unit at the end where it is one. A number is part of the protocol: it is never
 * used again for something else. Who does not know a number leaves it out.
 *
 * Columns: id, number, name, labels, unit, kind, source, help.
 */
#ifndef SPLITSOCK_PROTO_COUNTERS_H
#define SPLITSOCK_PROTO_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

/*
 * The host's, for its whole network namespace: the 21 that gVisor's netstack shows (/netstack/... in its epsocket.go of October 2018),
 * taken from the fields of /proc/net/snmp (Group.Field), netstat (Group.Field) and snmp6 (Field) that come closest. Fields are added up; one with a
 * minus is taken off; one that a kernel does not have counts as 0.
 */
#define COUNTERS_HOST(X)                                                                                               \
	X(HOST_UNKNOWN_PROTOCOL, 1, "splitsock_host_unknown_protocol_received_packets_total", "", "packets", TOTAL,    \
	  "Ip.InUnknownProtos Ip6InUnknownProtos", "IP packets received for a protocol that the host does not know")   \
	X(HOST_MALFORMED, 2, "splitsock_host_malformed_received_packets_total", "", "packets", TOTAL,                  \
	  "Ip.InHdrErrors IpExt.InTruncatedPkts Ip6InHdrErrors Ip6InTruncatedPkts",                                    \
	  "IP packets received with a bad header, or cut short")                                                       \
	X(HOST_DROPPED, 3, "splitsock_host_dropped_packets_total", "", "packets", TOTAL,                               \
	  "Ip.InDiscards Ip6InDiscards", "Good IP packets dropped on arrival, for want of memory or room")             \
	X(HOST_IP_RECEIVED, 4, "splitsock_host_ip_packets_received_total", "", "packets", TOTAL,                       \
	  "Ip.InReceives Ip6InReceives", "IP packets received, bad ones included")                                     \
	X(HOST_IP_INVALID_ADDRESSES, 5, "splitsock_host_ip_invalid_addresses_received_total", "", "packets", TOTAL,    \
	  "Ip.InAddrErrors Ip6InAddrErrors", "IP packets received for an address that is not the host's")              \
	X(HOST_IP_DELIVERED, 6, "splitsock_host_ip_packets_delivered_total", "", "packets", TOTAL,                     \
	  "Ip.InDelivers Ip6InDelivers", "IP packets received and handed to their protocol")                           \
	X(HOST_IP_SENT, 7, "splitsock_host_ip_packets_sent_total", "", "packets", TOTAL,                               \
	  "Ip.OutRequests Ip6OutRequests", "IP packets that the host's protocols sent")                                \
	X(HOST_IP_SEND_ERRORS, 8, "splitsock_host_ip_outgoing_packet_errors_total", "", "packets", TOTAL,              \
	  "Ip.OutDiscards Ip.OutNoRoutes Ip6OutDiscards Ip6OutNoRoutes",                                               \
	  "IP packets that could not be sent: no route, no room")                                                      \
	X(HOST_TCP_ACTIVE, 9, "splitsock_host_tcp_active_connection_openings_total", "", "connections", TOTAL,         \
	  "Tcp.ActiveOpens", "TCP connections begun by the host")                                                      \
	X(HOST_TCP_PASSIVE, 10, "splitsock_host_tcp_passive_connection_openings_total", "", "connections", TOTAL,      \
	  "Tcp.PassiveOpens", "TCP connections that arrived at the host's listeners")                                  \
	X(HOST_TCP_FAILED, 11, "splitsock_host_tcp_failed_connection_attempts_total", "", "connections", TOTAL,        \
	  "Tcp.AttemptFails", "TCP connections, either way, that failed while they were made")                         \
	X(HOST_TCP_VALID, 12, "splitsock_host_tcp_valid_segments_received_total", "", "segments", TOTAL,               \
	  "Tcp.InSegs -Tcp.InErrs", "TCP segments received without error")                                             \
	X(HOST_TCP_INVALID, 13, "splitsock_host_tcp_invalid_segments_received_total", "", "segments", TOTAL,           \
	  "Tcp.InErrs", "TCP segments received with an error, a bad checksum for one")                                 \
	X(HOST_TCP_SENT, 14, "splitsock_host_tcp_segments_sent_total", "", "segments", TOTAL,                          \
	  "Tcp.OutSegs Tcp.RetransSegs", "TCP segments sent, those sent again included")                               \
	X(HOST_TCP_RESETS_SENT, 15, "splitsock_host_tcp_resets_sent_total", "", "segments", TOTAL,                     \
	  "Tcp.OutRsts", "TCP resets sent")                                                                            \
	X(HOST_TCP_RESETS_RECEIVED, 16, "splitsock_host_tcp_resets_received_total", "", "connections", TOTAL,          \
	  "Tcp.EstabResets TcpExt.EmbryonicRsts",                                                                      \
	  "TCP connections that a reset ended, of either side: Linux does not count resets received")                  \
	X(HOST_UDP_RECEIVED, 17, "splitsock_host_udp_packets_received_total", "", "datagrams", TOTAL,                  \
	  "Udp.InDatagrams Udp6InDatagrams", "UDP datagrams received, counted as programs take them")                  \
	X(HOST_UDP_UNKNOWN_PORT, 18, "splitsock_host_udp_unknown_port_errors_total", "", "datagrams", TOTAL,           \
	  "Udp.NoPorts Udp6NoPorts", "UDP datagrams received for a port that nobody has")                              \
	X(HOST_UDP_BUFFER_ERRORS, 19, "splitsock_host_udp_receive_buffer_errors_total", "", "datagrams", TOTAL,        \
	  "Udp.RcvbufErrors Udp6RcvbufErrors", "UDP datagrams dropped because the receive buffer was full")            \
	X(HOST_UDP_MALFORMED, 20, "splitsock_host_udp_malformed_packets_received_total", "", "datagrams", TOTAL,       \
	  "Udp.InErrors -Udp.RcvbufErrors -Udp.MemErrors Udp6InErrors -Udp6RcvbufErrors -Udp6MemErrors",               \
	  "UDP datagrams received with an error, a bad checksum for one")                                              \
	X(HOST_UDP_SENT, 21, "splitsock_host_udp_packets_sent_total", "", "datagrams", TOTAL,                          \
	  "Udp.OutDatagrams Udp6OutDatagrams", "UDP datagrams sent")

/* The gofer's as a whole. Only splitsock-ctl sees them: they tell of other clients. Source: the function that counts. */
#define COUNTERS_GOFER(X)                                                                                              \
	X(START_TIME, 100, "splitsock_start_time_seconds", "", "seconds", GAUGE, "run", "When the gofer started, in Unix time") \
	X(SESSIONS, 101, "splitsock_sessions", "", "sessions", GAUGE, "counters_of_gofer", "Sessions that there are")  \
	X(SESSIONS_OPENED, 102, "splitsock_sessions_opened_total", "", "sessions", TOTAL, "session_new",               \
	  "Clients that became a session")                                                                             \
	X(SESSIONS_CLOSED, 103, "splitsock_sessions_closed_total", "", "sessions", TOTAL, "session_free",              \
	  "Sessions that have ended, however")                                                                         \
	X(SESSIONS_REFUSED, 104, "splitsock_sessions_refused_total", "", "sessions", TOTAL, "session_new",             \
	  "Clients turned away: too many sessions, or no memory")                                                      \
	X(HANDSHAKES_OVERDUE, 105, "splitsock_handshakes_overdue_total", "", "sessions", TOTAL, "tick_session",        \
	  "Sessions ended because their client did not say Hello in time")                                             \
	X(PROTOCOL_BREACHES, 106, "splitsock_protocol_breaches_total", "", "sessions", TOTAL, "session_breach",        \
	  "Sessions ended because their client broke the protocol")                                                    \
	X(SESSIONS_OVERRUN, 107, "splitsock_sessions_overrun_total", "", "sessions", TOTAL, "session_send",            \
	  "Sessions ended because their client did not read its answers")                                              \
	X(LINKS_PENDING, 108, "splitsock_links_pending", "", "links", GAUGE, "counters_of_gofer",                      \
	  "Links that have not said yet whose they are")                                                               \
	X(LINKS_REFUSED, 109, "splitsock_link_hellos_refused_total", "", "links", TOTAL, "link_introduce",             \
	  "Links closed because their hello was none, or named nobody's socket")                                       \
	X(LINKS_OVERDUE, 110, "splitsock_links_overdue_total", "", "links", TOTAL, "listener_tick",                    \
	  "Links closed because their hello did not come in time, or others needed the room")                          \
	X(DESCRIPTOR_SHORTAGES, 111, "splitsock_descriptor_shortages_total", "", "events", TOTAL, "take_links",        \
	  "Times that a client, link or connection had to wait for a free descriptor")                                 \
	X(ADMIN_CONNECTIONS, 112, "splitsock_admin_connections_total", "", "connections", TOTAL, "admin_accept",       \
	  "Connections to the ctl socket that were let in")                                                            \
	X(ADMIN_REFUSED, 113, "splitsock_admin_refused_total", "", "connections", TOTAL, "admin_accept",               \
	  "Connections to the ctl socket that were turned away: not the gofer's user, or too many")                    \
	X(ADMIN_BREACHES, 114, "splitsock_admin_breaches_total", "", "connections", TOTAL, "admin_end",                \
	  "Connections to the ctl socket that were ended: they broke the protocol, or took too long")                  \
	X(AUDIT_LINES_OVER_RATE, 115, "splitsock_audit_lines_suppressed_total", "reason=\"rate\"", "lines", TOTAL, "within_limit", \
	  "Lines of the audit that were left out: too many in one second, or not to be written in time, or at all")    \
	X(AUDIT_LINES_LOST, 116, "splitsock_audit_lines_suppressed_total", "reason=\"lost\"", "lines", TOTAL, "put", \
	  "Lines of the audit that were left out: too many in one second, or not to be written in time, or at all")

/* Each session's, which its client may read; the gofer adds them all up. Source: the function that counts. */
#define COUNTERS_SESSION(X)                                                                                            \
	X(SOCKETS, 200, "splitsock_sockets", "", "sockets", GAUGE, "counters_of_session", "Sockets that there are")    \
	X(SOCKETS_OPENED, 201, "splitsock_sockets_opened_total", "", "sockets", TOTAL, "sock_new",                     \
	  "Sockets that came to be, accepted connections included")                                                    \
	X(SOCKETS_CLOSED, 202, "splitsock_sockets_closed_total", "", "sockets", TOTAL, "sock_free",                    \
	  "Sockets that have gone, however")                                                                           \
	X(LINKS, 203, "splitsock_links_total", "", "links", TOTAL, "sock_attach_link",                                 \
	  "Descriptors of programs that were tied to a socket")                                                        \
	X(CONNECTS_OK, 204, "splitsock_connects_total", "result=\"ok\"", "connects", TOTAL, "handle_connect",          \
	  "Connects by what came of them")                                                                             \
	X(CONNECTS_FAILED, 205, "splitsock_connects_total", "result=\"failed\"", "connects", TOTAL, "sock_connect_failed", \
	  "Connects by what came of them")                                                                             \
	X(CONNECTS_DENIED, 206, "splitsock_connects_total", "result=\"denied\"", "connects", TOTAL, "handle_connect",  \
	  "Connects by what came of them")                                                                             \
	X(CONNECTS_WAITING, 207, "splitsock_connects_waiting", "", "connects", GAUGE, "counters_of_session",           \
	  "Connects that wait for the host's answer")                                                                  \
	X(ACCEPTS, 208, "splitsock_accepts_total", "", "connections", TOTAL, "announce",                               \
	  "Connections accepted and announced to a listener")                                                          \
	X(RESETS, 209, "splitsock_resets_total", "", "connections", TOTAL, "sock_host_gone",                           \
	  "Connections whose host side failed, most often by a reset of the peer's")                                   \
	X(STREAM_BYTES_UP, 210, "splitsock_stream_bytes_total", "direction=\"to_host\"", "bytes", TOTAL, "pump_up",    \
	  "Bytes of streams that were passed on")                                                                      \
	X(STREAM_BYTES_DOWN, 211, "splitsock_stream_bytes_total", "direction=\"to_program\"", "bytes", TOTAL, "pump_down", \
	  "Bytes of streams that were passed on")                                                                      \
	X(DATAGRAMS_UP, 212, "splitsock_datagrams_total", "direction=\"to_host\"", "datagrams", TOTAL, "count_datagram", \
	  "Datagrams that were passed on")                                                                             \
	X(DATAGRAMS_DOWN, 213, "splitsock_datagrams_total", "direction=\"to_program\"", "datagrams", TOTAL, "count_datagram", \
	  "Datagrams that were passed on")                                                                             \
	X(DATAGRAM_BYTES_UP, 214, "splitsock_datagram_bytes_total", "direction=\"to_host\"", "bytes", TOTAL, "count_datagram", \
	  "Bytes of datagrams that were passed on")                                                                    \
	X(DATAGRAM_BYTES_DOWN, 215, "splitsock_datagram_bytes_total", "direction=\"to_program\"", "bytes", TOTAL,      \
	  "count_datagram", "Bytes of datagrams that were passed on")                                                  \
	X(DROPPED_HOST_FULL, 216, "splitsock_datagrams_dropped_total", "reason=\"host_full\"", "datagrams", TOTAL,     \
	  "relay_datagram_up", "Datagrams that were not passed on: no room in the host's socket or the link, or an error of the host's") \
	X(DROPPED_HOST_ERROR, 217, "splitsock_datagrams_dropped_total", "reason=\"host_error\"", "datagrams", TOTAL,   \
	  "relay_datagram_up", "Datagrams that were not passed on: no room in the host's socket or the link, or an error of the host's") \
	X(DROPPED_LINK_FULL, 218, "splitsock_datagrams_dropped_total", "reason=\"link_full\"", "datagrams", TOTAL,     \
	  "relay_datagram_down", "Datagrams that were not passed on: no room in the host's socket or the link, or an error of the host's") \
	X(NETLINK_UP, 219, "splitsock_netlink_messages_total", "direction=\"to_host\"", "messages", TOTAL, "netlink_up", \
	  "Packets of netlink that were passed on")                                                                    \
	X(NETLINK_DOWN, 220, "splitsock_netlink_messages_total", "direction=\"to_program\"", "messages", TOTAL, "netlink_down", \
	  "Packets of netlink that were passed on")                                                                    \
	X(FRAMES_IN, 221, "splitsock_frames_received_total", "path=\"control\"", "frames", TOTAL, "handle_frame",      \
	  "Frames received on the control stream (NNG) and on the side channel")                                       \
	X(FRAMES_IN_CHANNEL, 222, "splitsock_frames_received_total", "path=\"side_channel\"", "frames", TOTAL, "handle_frame", \
	  "Frames received on the control stream (NNG) and on the side channel")                                       \
	X(FRAMES_OUT, 223, "splitsock_frames_sent_total", "path=\"control\"", "frames", TOTAL, "session_send",         \
	  "Frames sent on the control stream (NNG) and on the side channel")                                           \
	X(FRAMES_OUT_CHANNEL, 224, "splitsock_frames_sent_total", "path=\"side_channel\"", "frames", TOTAL, "send_reply", \
	  "Frames sent on the control stream (NNG) and on the side channel")                                           \
	X(ROUND_TRIPS, 225, "splitsock_round_trips_total", "", "requests", TOTAL, "handle_frame",                      \
	  "Requests on the control stream whose client waits for the answer")                                          \
	X(NO_REPLY, 226, "splitsock_requests_no_reply_total", "", "requests", TOTAL, "handle_frame",                   \
	  "Requests whose client does not want an answer")                                                             \
	X(CANCELS, 227, "splitsock_cancels_total", "", "requests", TOTAL, "handle_frame", "Requests to drop a call")   \
	X(REPLIES_DROPPED, 228, "splitsock_replies_dropped_total", "", "frames", TOTAL, "send_reply",                  \
	  "Replies dropped because the side channel was full")                                                         \
	X(POLICY_DENIALS, 229, "splitsock_policy_denials_total", "", "operations", TOTAL, "count_answer",              \
	  "Operations that the policy forbade")                                                                        \
	X(QUOTA_REFUSALS, 230, "splitsock_quota_refusals_total", "", "operations", TOTAL, "sock_new",                  \
	  "Sockets and waiting connects refused because the session had as many as it may")                            \
	X(BAD_REQUESTS, 231, "splitsock_bad_requests_total", "", "operations", TOTAL, "count_answer",                  \
	  "Operations refused as invalid, or as not fit for their socket's state")                                     \
	X(HOST_ERRORS, 232, "splitsock_host_errors_total", "", "operations", TOTAL, "count_answer",                    \
	  "Operations that the host answered with an errno")                                                           \
	X(PACKET_SOCKETS, 233, "splitsock_packet_sockets_opened_total", "", "sockets", TOTAL, "mirror_open_socket",    \
	  "Packet sockets that were opened")                                                                           \
	X(PACKET_FRAMES_TO_HOST, 234, "splitsock_packet_frames_total", "direction=\"to_host\"", "frames", TOTAL, "send_out", \
	  "Frames of packet sockets passed on")                                                                        \
	X(PACKET_FRAMES_TO_PROGRAM, 235, "splitsock_packet_frames_total", "direction=\"to_program\"", "frames", TOTAL, "put_inside", \
	  "Frames of packet sockets passed on")                                                                        \
	X(PACKET_SENDS_DENIED, 236, "splitsock_packet_frames_denied_total", "direction=\"to_host\"", "frames", TOTAL, "may_pass", \
	  "Frames that the policy kept from passing")                                                                  \
	X(PACKET_RECEIVES_DENIED, 237, "splitsock_packet_frames_denied_total", "direction=\"to_program\"", "frames", TOTAL, "may_pass", \
	  "Frames that the policy kept from passing")                                                                  \
	X(PACKET_OVER_RATE, 238, "splitsock_packet_frames_dropped_total", "reason=\"rate\"", "frames", TOTAL, "may_pass", \
	  "Frames dropped: over the rate that is granted, or not taken by the kernel")                                 \
	X(PACKET_DROPPED, 239, "splitsock_packet_frames_dropped_total", "reason=\"kernel\"", "frames", TOTAL, "put_inside", \
	  "Frames dropped: over the rate that is granted, or not taken by the kernel")                                 \
	COUNTERS_OPERATION(X, OPEN, 261, "open")                                                                       \
	COUNTERS_OPERATION(X, BIND, 262, "bind")                                                                       \
	COUNTERS_OPERATION(X, CONNECT, 263, "connect")                                                                 \
	COUNTERS_OPERATION(X, LISTEN, 264, "listen")                                                                   \
	COUNTERS_OPERATION(X, SET_OPTION, 265, "set_option")                                                           \
	COUNTERS_OPERATION(X, GET_OPTION, 266, "get_option")                                                           \
	COUNTERS_OPERATION(X, SHUTDOWN, 267, "shutdown")                                                               \
	COUNTERS_OPERATION(X, QUERY, 268, "query")                                                                     \
	COUNTERS_OPERATION(X, SEND, 269, "send")                                                                       \
	COUNTERS_OPERATION(X, RELEASE, 270, "release")                                                                 \
	COUNTERS_OPERATION(X, INTERFACE_IOCTL, 271, "interface_ioctl")                                                 \
	COUNTERS_OPERATION(X, POKE, 272, "poke")                                                                       \
	COUNTERS_OPERATION(X, RECEIVE_ERROR, 273, "receive_error")                                                     \
	COUNTERS_OPERATION(X, URGENT, 274, "urgent")                                                                   \
	COUNTERS_OPERATION(X, STATS, 275, "stats")                                                                     \
	COUNTERS_OPERATION(X, PACKET_OPEN, 276, "packet_open")                                                         \
	COUNTERS_OPERATION(X, PACKET_SYNC, 277, "packet_sync")

/* One for each member of Op, by its name there. */
#define COUNTERS_OPERATION(X, id, number, name)                                                                        \
	X(OPERATION_##id, number, "splitsock_operations_total", "operation=\"" name "\"", "operations", TOTAL,         \
	  "count_operation", "Operations asked for, whatever came of them")

/* The library's, on the client's side of one session. Source: the function that counts. */
#define COUNTERS_CLIENT(X)                                                                                             \
	X(CLIENT_FRAMES_OUT, 300, "splitsock_client_frames_sent_total", "path=\"control\"", "frames", TOTAL, "send_frame", \
	  "Frames sent on the control stream (NNG) and on the side channel")                                           \
	X(CLIENT_FRAMES_OUT_CHANNEL, 301, "splitsock_client_frames_sent_total", "path=\"side_channel\"", "frames", TOTAL, \
	  "session_call_with_payload", "Frames sent on the control stream (NNG) and on the side channel")              \
	X(CLIENT_FRAMES_IN, 302, "splitsock_client_frames_received_total", "path=\"control\"", "frames", TOTAL, "take_inbox", \
	  "Frames received on the control stream (NNG) and on the side channel")                                       \
	X(CLIENT_FRAMES_IN_CHANNEL, 303, "splitsock_client_frames_received_total", "path=\"side_channel\"", "frames", TOTAL, \
	  "channel_receive", "Frames received on the control stream (NNG) and on the side channel")                    \
	X(CLIENT_ROUND_TRIPS, 304, "splitsock_client_round_trips_total", "", "requests", TOTAL, "session_call",        \
	  "Requests on the control stream that wait for an answer")                                                    \
	X(CLIENT_NO_REPLY, 305, "splitsock_client_requests_no_reply_total", "", "requests", TOTAL, "session_call",     \
	  "Requests on the control stream that want no answer")                                                        \
	X(CLIENT_CANCELS, 306, "splitsock_client_cancels_total", "", "requests", TOTAL, "session_cancel",              \
	  "Calls that were given up")                                                                                  \
	X(CLIENT_LINKS, 307, "splitsock_client_links_total", "", "links", TOTAL, "session_link",                       \
	  "Descriptors tied to the gofer: a local connect each, and no round trip")

#define COUNTERS(X) COUNTERS_HOST(X) COUNTERS_GOFER(X) COUNTERS_SESSION(X) COUNTERS_CLIENT(X)

#define COUNTER_ENUM(id, ...) COUNTER_##id,
enum counter_id { COUNTERS(COUNTER_ENUM) COUNTER_COUNT };
#undef COUNTER_ENUM

#define COUNTER_ONE(...) +1
enum {
	COUNTERS_HOST_COUNT = 0 COUNTERS_HOST(COUNTER_ONE),
	COUNTERS_GOFER_COUNT = 0 COUNTERS_GOFER(COUNTER_ONE),
	COUNTERS_SESSION_COUNT = 0 COUNTERS_SESSION(COUNTER_ONE),
	COUNTERS_CLIENT_COUNT = 0 COUNTERS_CLIENT(COUNTER_ONE),
	/* Where each part of the table begins. */
	COUNTERS_HOST_FIRST = 0,
	COUNTERS_GOFER_FIRST = COUNTERS_HOST_FIRST + COUNTERS_HOST_COUNT,
	COUNTERS_SESSION_FIRST = COUNTERS_GOFER_FIRST + COUNTERS_GOFER_COUNT,
	COUNTERS_CLIENT_FIRST = COUNTERS_SESSION_FIRST + COUNTERS_SESSION_COUNT,
};
#undef COUNTER_ONE

enum counter_kind {
	COUNTER_TOTAL, /* grows from 0, as long as what it belongs to lives */
	COUNTER_GAUGE, /* what is now */
};

enum counter_scope { COUNTER_HOST, COUNTER_GOFER, COUNTER_SESSION, COUNTER_CLIENT };

struct counter {
	uint32_t number; /* on the wire */
	const char *name;
	const char *labels; /* "" or key="value": name and labels together are unique */
	const char *unit;
	enum counter_kind kind;
	enum counter_scope scope;
	const char *source; /* host: fields of /proc/net; else the function that counts */
	const char *help;
};

extern const struct counter counters[COUNTER_COUNT];

/* The id of a number from the wire, or -1. */
int counter_by_number(uint32_t number);

#endif
