#include "gofer/ring_limit.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/log.h"
#include "gofer/capture_filter.h"
#include "gofer/ebpf.h"
#include "gofer/gofer.h"
#include "gofer/ring_guard.h"

/* No ring is asked for with more bytes, and a page has more. */
#define VALUE_MAX 1024

#define CGROUP_PREFIX "splitsock-gofer-"

static int
load_program(uint64_t limit)
{
	const struct bpf_insn program[] = {
		SET(BPF_REG_0, 1), /* go on */
		LOAD32(BPF_REG_2, BPF_REG_1, offsetof(struct bpf_sockopt, level)),
		UNLESS_EQUAL(BPF_REG_2, SOL_PACKET, 21),
		LOAD32(BPF_REG_2, BPF_REG_1, offsetof(struct bpf_sockopt, optname)),
		IF_EQUAL(BPF_REG_2, PACKET_RX_RING, 1),
		UNLESS_EQUAL(BPF_REG_2, PACKET_TX_RING, 18),
		LOAD64(BPF_REG_3, BPF_REG_1, offsetof(struct bpf_sockopt, sk)),
		LOAD32(BPF_REG_2, BPF_REG_3, offsetof(struct bpf_sock, mark)),
		IF_EQUAL(BPF_REG_2, CAPTURE_MARK, 15), /* the gofer's own, of its own size */
		/* Of what is longer than a page this program sees a copy, and the kernel reads the original again. */
		LOAD32(BPF_REG_2, BPF_REG_1, offsetof(struct bpf_sockopt, optlen)),
		INSN(BPF_JMP32 | BPF_JSGT | BPF_K, BPF_REG_2, 0, 12, VALUE_MAX),
		LOAD64(BPF_REG_3, BPF_REG_1, offsetof(struct bpf_sockopt, optval)),
		LOAD64(BPF_REG_4, BPF_REG_1, offsetof(struct bpf_sockopt, optval_end)),
		MOVE(BPF_REG_5, BPF_REG_3),
		ADD(BPF_REG_5, sizeof(struct tpacket_req)),
		IF_ABOVE(BPF_REG_5, BPF_REG_4, 8), /* shorter than any: EINVAL is the kernel's to say */
		LOAD32(BPF_REG_4, BPF_REG_3, offsetof(struct tpacket_req, tp_block_size)),
		LOAD32(BPF_REG_5, BPF_REG_3, offsetof(struct tpacket_req, tp_block_nr)),
		INSN(BPF_JMP32 | BPF_JSLT | BPF_K, BPF_REG_4, 0, 5, 0), /* a negative size: so is that */
		MULTIPLY(BPF_REG_4, BPF_REG_5),
		SET64(BPF_REG_5, limit),
		INSN(BPF_JMP | BPF_JLE | BPF_X, BPF_REG_4, BPF_REG_5, 1, 0),
		SET(BPF_REG_0, 0), /* EPERM */
		EXIT,
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_CGROUP_SETSOCKOPT);
	int fd = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCKOPT, "splitsock_rings", "Dual BSD/GPL", program,
	                       sizeof program / sizeof *program, &options);

	return fd < 0 ? -errno : fd;
}

/* The unified hierarchy, wherever it is mounted, or nowhere. */
static int
open_hierarchy(void)
{
	_cleanup_close_ int context = fsopen("cgroup2", FSOPEN_CLOEXEC);

	if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return fsmount(context, FSMOUNT_CLOEXEC, 0);
}

/* Our own cgroup, as a directory of that. */
static int
open_own_cgroup(void)
{
	char line[4096], group[4096] = "";
	FILE *file = fopen("/proc/self/cgroup", "re");
	_cleanup_close_ int hierarchy = open_hierarchy();

	while (file && fgets(line, sizeof line, file))
		sscanf(line, "0::/%4095[^\n]", group);
	if (file)
		fclose(file);
	return hierarchy < 0 ? -1 : openat(hierarchy, group[0] ? group : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Moves the whole process. */
static int
move_to(int directory)
{
	_cleanup_close_ int fd = openat(directory, "cgroup.procs", O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, "0", 1) != 1 ? -errno : 0;
}

/* Those that a killed gofer has left are empty, and only those can be removed. One that starts has not moved into its own yet. */
static void
remove_stale(int own)
{
	DIR *directory = fdopendir(dup(own));

	for (struct dirent *entry; directory && (entry = readdir(directory));) {
		int pid;

		if (sscanf(entry->d_name, CGROUP_PREFIX "%d", &pid) == 1 && kill(pid, 0) < 0 && errno == ESRCH)
			unlinkat(own, entry->d_name, AT_REMOVEDIR);
	}
	if (directory)
		closedir(directory);
}

static int
enter_limited(struct gofer *gofer, int own, const char *name)
{
	_cleanup_close_ int program = load_program(gofer->policy->ring_bytes), group = -1;
	struct stat st;

	if (program < 0)
		return program;
	if (mkdirat(own, name, 0755) < 0)
		return -errno;
	group = openat(own, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (group < 0 || fstat(group, &st) < 0 || bpf_prog_attach(program, group, BPF_CGROUP_SETSOCKOPT, 0) < 0)
		return -errno;
	/* The number of the directory is the cgroup's. */
	ring_guard_start(&gofer->ring_guard, st.st_ino);
	return move_to(group);
}

static void
cgroup_name(char name[64])
{
	snprintf(name, 64, CGROUP_PREFIX "%d", (int)getpid());
}

static int
start_limit(struct gofer *gofer)
{
	_cleanup_close_ int own = -1;
	char name[64];
	int error;

	own = open_own_cgroup();
	if (own < 0) {
		error = -errno;
		log_warning("no packet sockets: the limit on their rings needs cgroup v2: %s", strerror(-error));
		return -EPERM;
	}
	cgroup_name(name);
	remove_stale(own);
	error = enter_limited(gofer, own, name);
	if (error) {
		log_warning("no packet sockets: the limit on their rings cannot be set: %s", strerror(-error));
		ring_guard_stop(&gofer->ring_guard);
		unlinkat(own, name, AT_REMOVEDIR);
		return error == -ENOMEM ? error : -EPERM;
	}
	gofer->own_cgroup = take_fd(&own);
	return 0;
}

int
ring_limit_start(struct gofer *gofer)
{
	int error = gofer->own_cgroup > 0 ? 0 : start_limit(gofer);

	return error ? error : gofer->ring_guard.holds || gofer->policy->foreign_rings ? 0 : -EPERM;
}

void
ring_limit_renew(struct gofer *gofer)
{
	_cleanup_close_ int program = -1, group = -1;
	char name[64];

	if (gofer->own_cgroup <= 0)
		return;
	cgroup_name(name);
	program = load_program(gofer->policy->ring_bytes);
	group = openat(gofer->own_cgroup, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* It takes the place of the one before. */
	if (program < 0 || group < 0 || bpf_prog_attach(program, group, BPF_CGROUP_SETSOCKOPT, 0) < 0)
		log_warning("the limit on rings stays as it was: %s", strerror(errno));
}

void
ring_limit_stop(struct gofer *gofer)
{
	char name[64];

	if (gofer->own_cgroup <= 0)
		return;
	cgroup_name(name);
	if (move_to(gofer->own_cgroup) < 0 || unlinkat(gofer->own_cgroup, name, AT_REMOVEDIR) < 0)
		log_warning("cgroup %s is left behind: %s", name, strerror(errno));
	ring_guard_stop(&gofer->ring_guard);
	close(gofer->own_cgroup);
	gofer->own_cgroup = 0;
}
