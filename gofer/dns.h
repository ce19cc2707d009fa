/*
 * DNS messages (RFC 1035), as far as policy needs them: which question was asked, and the addresses that answer it. Pure functions
 * over bytes that anybody may have sent; glibc's resolver library reads them.
 */
#ifndef SPLITSOCK_GOFER_DNS_H
#define SPLITSOCK_GOFER_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A name as text, without the last dot, and its NUL: RFC 1035 has 255 bytes on the wire. */
#define DNS_NAME_MAX 255

/* Addresses of one answer; more are not learned. */
#define DNS_ADDRESSES_MAX 64

/* Records in the answer section of a message that is looked at: each name of the chain looks through all of them. */
#define DNS_RECORDS_MAX 256

/* CNAMEs from the name that was asked for to the one that has addresses. */
#define DNS_CHAIN_MAX 16

struct dns_question {
	uint16_t id;
	uint16_t type;
	char name[DNS_NAME_MAX]; /* in lower case */
};

struct dns_address {
	uint8_t address[16]; /* IPv4 as v4-mapped */
	uint32_t ttl;        /* in seconds: the least on the way there */
};

struct dns_answer {
	struct dns_question question;
	struct dns_address addresses[DNS_ADDRESSES_MAX];
	size_t count;
};

/* A query's question. False where the message is none, has not exactly one question of class IN, or its name is no host name. */
bool dns_read_query(struct dns_question *question, const uint8_t *message, size_t len);

/*
 * The addresses (A, AAAA) of the name that was asked for, reached by CNAMEs from it. False where the message is no answer without an error to
 * one such question. Names other than the one that was asked for are not learned: a name server's owner chooses where his CNAMEs lead.
 */
bool dns_read_answer(struct dns_answer *answer, const uint8_t *message, size_t len);

#endif
