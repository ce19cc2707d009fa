/*
 * Between this machine's bytes and the wire's: socket addresses, options, control messages (proto/values*.c, proto/control.c). Programs
 * choose the host's bytes, and the other side the wire's: both directions get any.
 */
#include "tests/fuzz/fuzz.h"

#include "proto/control.h"

static void
fuzz_sockaddr(struct input *input)
{
	socklen_t said = (socklen_t)input_u32(input), len = 0;
	struct sockaddr_storage host, back;
	struct wire_address wire, again;
	size_t size;
	uint8_t *bytes = input_copy(input, sizeof host, &size);

	/* Whoever calls has that many bytes, or it is more than any address has. */
	if (said > size)
		said = said > sizeof host ? said : (socklen_t)size;
	if (wire_address_from_host(&wire, (const struct sockaddr *)bytes, said) == 0 && wire_address_to_host(&wire, &back, &len) == 0) {
		FUZZ_CHECK(len <= sizeof back);
		FUZZ_CHECK(wire_address_from_host(&again, (const struct sockaddr *)&back, len) == 0);
		FUZZ_CHECK(memcmp(&wire, &again, sizeof wire) == 0);
	}
	free(bytes);
}

static void
fuzz_wire_address(struct input *input)
{
	struct wire_address wire = {
		.family = input_u32(input),
		.port = input_u32(input),
		.flow_info = input_u32(input),
		.scope_id = input_u32(input),
		.netlink_pid = input_u32(input),
		.netlink_groups = input_u32(input),
	};
	struct sockaddr_storage host;
	socklen_t len = 0;

	for (size_t i = 0; i < sizeof wire.ip; i++)
		wire.ip[i] = input_byte(input);
	if (wire_address_to_host(&wire, &host, &len) == 0)
		FUZZ_CHECK(len >= sizeof(sa_family_t) && len <= sizeof host);
}

/* By number, so that short inputs reach all of them. */
static const struct socket_option *
choose_option(struct input *input)
{
	return option_by_wire(input_byte(input) | (uint32_t)input_byte(input) << 8);
}

static void
fuzz_option_to_wire(struct input *input)
{
	const struct socket_option *option = choose_option(input);
	size_t cap = input_u32(input) % (OPTION_VALUE_MAX + 1), len;
	uint8_t *value = input_copy(input, OPTION_VALUE_MAX + 8, &len), *wire = malloc(cap), *host = malloc(OPTION_VALUE_MAX);

	if (option) {
		size_t reads = option_reads(option, len);
		ssize_t wire_len, host_len;

		FUZZ_CHECK(reads <= len);
		wire_len = option_encode(option, value, len, wire, cap);
		FUZZ_CHECK(wire_len < 0 || (size_t)wire_len <= cap);
		if (wire_len >= 0) {
			host_len = option_decode(option, wire, (size_t)wire_len, host, OPTION_VALUE_MAX);
			FUZZ_CHECK(host_len <= (ssize_t)OPTION_VALUE_MAX);
			FUZZ_CHECK(host_len >= 0 || wire_len > (ssize_t)OPTION_VALUE_MAX);
		}
	}
	free(host);
	free(wire);
	free(value);
}

static void
fuzz_option_to_host(struct input *input)
{
	const struct socket_option *option = choose_option(input);
	size_t cap = input_u32(input) % (OPTION_VALUE_MAX + 1), room = input_u32(input), len;
	uint8_t *wire = input_copy(input, OPTION_VALUE_MAX + 8, &len), *host = malloc(cap);

	if (option) {
		ssize_t host_len = option_decode(option, wire, len, host, cap);

		FUZZ_CHECK(host_len < 0 || (size_t)host_len <= cap);
		if (host_len >= 0) {
			FUZZ_CHECK(option_cut(option, host, (size_t)host_len, room) <= (size_t)host_len);
			option_is_sure_on(option, (int)room & 31, (int)(room >> 8) & 7, 0);
		}
		option_room(option, room);
	}
	free(host);
	free(wire);
}

/* A cmsg buffer of the host's, as a program or a hostile memfd has it. */
static void
fuzz_control_buffer(struct input *input)
{
	struct control_list list = {0};
	_Alignas(struct cmsghdr) char back[2 * CONTROL_BYTES_MAX];
	size_t len;
	uint8_t *buffer = input_copy(input, 4096, &len);

	control_list_add_all(&list, buffer, len);
	FUZZ_CHECK(list.count <= CONTROL_MESSAGES_MAX && list.used <= sizeof list.bytes);
	/* What was read can be laid out, in room of any size. */
	for (size_t room = 0; room <= sizeof back; room = room * 2 + 16)
		FUZZ_CHECK(control_to_host(list.list, list.count, back, room) <= (ssize_t)room);
	FUZZ_CHECK(control_to_host(list.list, list.count, back, sizeof back) >= 0);
	free(buffer);
}

/* One control message, each way, by type number. */
static void
fuzz_control(struct input *input)
{
	uint32_t type = input_byte(input), again;
	int level, name;
	size_t len;
	uint8_t *data = input_copy(input, CONTROL_DATA_MAX, &len);
	uint8_t *host = malloc(CONTROL_DATA_MAX), *wire = malloc(CONTROL_DATA_MAX);
	ssize_t host_len = control_decode(type, data, len, &level, &name, host), wire_len;

	FUZZ_CHECK(host_len <= (ssize_t)CONTROL_DATA_MAX);
	if (host_len >= 0) {
		wire_len = control_encode(level, name, host, (size_t)host_len, &again, wire);
		FUZZ_CHECK(wire_len >= 0 && wire_len <= (ssize_t)CONTROL_DATA_MAX && again == type);
	}
	free(wire);
	free(host);
	free(data);
}

static void
fuzz_numbers(struct input *input)
{
	uint32_t value = input_u32(input), unknown;
	int rest;

	wire_errno(host_errno(value));
	wire_family(host_family(value));
	wire_socket_type(host_socket_type(value));
	wire_shutdown(host_shutdown(value));
	host_message_flags(wire_message_flags((int)value, &rest), &unknown);
	FUZZ_CHECK(unknown == 0);
	host_message_flags(value, &unknown);
	option_by_host((int)value & 0xffff, (int)(value >> 16));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const kinds[])(struct input *) = {
		fuzz_sockaddr, fuzz_wire_address, fuzz_option_to_wire, fuzz_option_to_host, fuzz_control_buffer, fuzz_control, fuzz_numbers,
	};
	struct input input = {data, len};

	kinds[input_byte(&input) % (sizeof kinds / sizeof *kinds)](&input);
	return 0;
}
