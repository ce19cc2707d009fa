/*
 * Frames and packets that a client wants to send or see: gofer/policy_frame.c, and the netlink requests and addresses that gofer/policy.c judges.
 * The input is a grant and a frame.
 */
#include "tests/fuzz/fuzz.h"

#include "gofer/policy.h"

#define OWN_IP 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1
#define OWN_IP6 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1

static const struct policy_network own_networks[] = {{{OWN_IP}, 120}, {{OWN_IP6}, 64}};
static const struct interface_own own = {.mac = {2, 0, 0, 0, 0, 1}, .has_mac = true, .addresses = own_networks, .address_count = 2};

static uint16_t types[] = {0, 0x0800, 0x0806, 0x8035, 0x86dd, 0x8100}, protocols[] = {1, 17, 58};
static uint8_t macs[][6] = {{2, 0, 0, 0, 0, 5}};
static struct policy_network networks[] = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10}, 104}, {{0xfd}, 8}};

/* A grant that these bits narrow; none of them set is one that grants all. */
static struct packet_grant
grant_for(uint8_t bits)
{
	struct packet_grant grant = {
		.receive = true,
		.send = true,
		.promiscuous = !(bits & 1),
		.ethertypes = {.any = !(bits & 2), .numbers = types, .count = (bits & 64) ? 2 : sizeof types / sizeof *types},
		.protocols = {.any = !(bits & 4), .numbers = protocols, .count = sizeof protocols / sizeof *protocols},
		.any_source_mac = !(bits & 8),
		.any_source_ip = !(bits & 16),
	};

	if (bits & 32) {
		grant.source_macs = macs;
		grant.source_mac_count = 1;
		grant.source_ips = networks;
		grant.source_ip_count = 2;
	}
	return grant;
}

static void
fuzz_frame(struct input *input)
{
	uint8_t bits = input_byte(input), how = input_byte(input);
	struct packet_grant grant = grant_for(bits), wide = grant_for(0), without_lists = grant_for(bits & ~32);
	enum frame_direction direction = how & 1 ? FRAME_SEND : FRAME_RECEIVE;
	bool for_others = how & 2;
	size_t len;
	uint8_t *frame = input_copy(input, 65536, &len);
	bool passes = policy_frame(&grant, direction, frame, len, for_others, &own);

	/* Who is granted less may not do more. */
	if (passes && len >= 14)
		FUZZ_CHECK(policy_frame(&wide, direction, frame, len, for_others, &own));
	if (!passes)
		FUZZ_CHECK(!policy_frame(&without_lists, direction, frame, len, for_others, &own));
	grant.send = grant.receive = false;
	FUZZ_CHECK(!policy_frame(&grant, direction, frame, len, for_others, &own));
	free(frame);
}

static void
fuzz_raw_header(struct input *input)
{
	uint8_t bits = input_byte(input);
	struct raw_grant grant = {
		.granted = true,
		.header = true,
		.any_source_ip = !(bits & 1),
		.protocols = {.any = !(bits & 2), .numbers = protocols, .count = sizeof protocols / sizeof *protocols},
	}, wide = {.granted = true, .header = true, .any_source_ip = true, .protocols.any = true};
	int family = bits & 4 ? AF_INET6 : AF_INET;
	size_t len;
	uint8_t *packet = input_copy(input, 65536, &len);

	if (policy_raw_header(&grant, family, packet, len, own_networks, 2))
		FUZZ_CHECK(policy_raw_header(&wide, family, packet, len, own_networks, 2));
	free(packet);
}

static void
fuzz_netlink(struct input *input)
{
	size_t len;
	uint8_t *request = input_copy(input, 65536, &len);

	policy_allows_netlink(request, len);
	free(request);
}

static void
fuzz_bucket(struct input *input)
{
	struct token_bucket bucket = {0};
	uint64_t rate = input_u32(input) + 1ull, taken = 0;
	int64_t start = 1000, now = start;

	while (input->len) {
		uint64_t amount = input_u32(input) % (2 * rate);

		now += input_byte(input);
		if (bucket_take(&bucket, rate, amount, now))
			taken += amount;
	}
	/* A full bucket to begin with, the rate after that, and one amount that is larger than a bucket. */
	FUZZ_CHECK(taken <= rate + (uint64_t)(now - start + 1) * rate / 1000 + 2 * rate + 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const kinds[])(struct input *) = {fuzz_frame, fuzz_raw_header, fuzz_netlink, fuzz_bucket};
	struct input input = {data, len};

	kinds[input_byte(&input) % (sizeof kinds / sizeof *kinds)](&input);
	return 0;
}
