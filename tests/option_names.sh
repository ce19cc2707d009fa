#!/bin/sh
# The socket options that the installed headers name, as OPTION_NAME(level, "NAME", number) lines. The arguments are the compiler:
#   tests/option_names.sh cc >option_names.h
# What begins like an option and is none stands here; a line that no longer applies is an error.
set -eu
export LC_ALL=C
not_options='
IPV6_FLOWINFO_FLOWLABEL IPV6_FLOWINFO_PRIORITY IPV6_FL_* IPV6_PMTUDISC_* IPV6_PREFER_SRC_* IPV6_PRIORITY_* IPV6_RTHDR_LOOSE
IPV6_RTHDR_STRICT IPV6_RTHDR_TYPE_0 IPV6_TLV_*
IP_DEFAULT_MULTICAST_* IP_MAX_MEMBERSHIPS IP_PMTUDISC IP_PMTUDISC_*
MCAST_EXCLUDE MCAST_INCLUDE
TCP_COOKIE_IN_ALWAYS TCP_COOKIE_M* TCP_COOKIE_OUT_NEVER TCP_COOKIE_PAIR_SIZE TCP_ENCAP_ESPINTCP TCP_MAXWIN TCP_MAX_WINSHIFT
TCP_MD5SIG_FLAG_* TCP_MD5SIG_MAXKEYLEN TCP_MSS TCP_MSS_* TCP_RECEIVE_ZEROCOPY_FLAG_* TCP_REPAIR_O[FN]* TCP_S_DATA_*
UDP_ENCAP_*
'
headers='
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
'
names=$(echo "$headers" | "$@" -D_GNU_SOURCE -E -dM - |
	awk '$1 == "#define" && $2 ~ /^(SO|TCP|UDP|IP|IPV6|MCAST)_[A-Z0-9_]*$/ { print $2 }' | sort)
set -f
for pattern in $not_options; do
	rest=
	found=
	for name in $names; do
		case $name in
		$pattern) found=1 ;;
		*) rest="$rest $name" ;;
		esac
	done
	[ "$found" ] || { echo "$0: no header names $pattern any more" >&2; exit 1; }
	names=$rest
done
# The preprocessor puts in the numbers: the two sets of headers cannot be compiled together.
{
	echo "$headers"
	for name in $names; do
		case $name in
		SO_*) levels=SOL_SOCKET ;;
		TCP_*) levels=IPPROTO_TCP ;;
		UDP_*) levels=IPPROTO_UDP ;;
		IPV6_*) levels=IPPROTO_IPV6 ;;
		IP_*) levels=IPPROTO_IP ;;
		MCAST_*) levels='IPPROTO_IP IPPROTO_IPV6' ;;
		esac
		for level in $levels; do
			echo "OPTION_NAME(\"$level\", \"$name\", $name)"
		done
	done
} | "$@" -D_GNU_SOURCE -E -P - | sed -n 's/^OPTION_NAME("\([A-Z0-9_]*\)"/OPTION_NAME(\1/p'
