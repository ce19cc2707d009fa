// Runs each script of this directory behind splitsock-run --isolate, as one Criterion test each. It is built twice:
// test-programs runs those that `make test` runs, test-programs-full those of full/, for `make test-full`.
//
// The parent starts one gofer for all (unless SPLITSOCK_TEST_GOFER names one) and stops it by pid. Each test is a
// process of its own that adopts whatever the script's programs leave behind, so that a daemon that escaped from a failed
// script is found and ended. Environment: SPLITSOCK_BIN, the directory of the binaries;
// SPLITSOCK_TEST_GOFER, a gofer's URL; SPLITSOCK_TEST_RUN, a whole command prefix instead ("" is the bare kernel, which every script must pass too).
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifdef PROGRAMS_FULL
#define SCRIPT_SECONDS 180 // what takes 20 on an idle machine takes 60 beside a build
#else
#define SCRIPT_SECONDS 60
#endif
#define OUTPUT_SHOWN 16384 // of a failed script: its end is what tells

struct program {
	char name[24]; // an array: parameters are copied to another process
};

// Longest first, so that two jobs end together.
static struct program programs[] = {
#ifdef PROGRAMS_FULL
	{ "containers-hundreds" }, { "ffmpeg" }, { "mariadb" }, { "iperf3-more" }, { "ssh-forward" }, { "redis-cluster" }, { "postgres" }, { "java" }, { "git-http" },
	{ "rust" }, { "stunnel" }, { "chromium" }, { "chrony" }, { "ftp" }, { "nats" },
	{ "java-ipv6" }, { "sctp" }, { "aria2" }, { "node" }, { "unbound" }, { "probes" }, { "tshark" }, { "frames" }, { "dhcp" }, { "lldp" }, { "nmap" },
#else
	{ "scapy" }, { "capture" }, { "containers" }, { "containers-policy" }, { "containers-inside" }, { "containers-many" }, { "containers-rootless" }, { "ping" }, { "traceroute" },
	{ "iperf3" },  { "python" },    { "ssh" },    { "haproxy" }, { "mosquitto" }, { "tls" },    { "rsync" }, { "socat" },  { "tty" },
	{ "redis" },   { "memcached" }, { "nginx" },  { "netcat" },  { "go" },        { "git" },    { "dns" },   { "status" }, { "curl" },
	{ "burst" },   { "lives" },   { "musl" },      { "busybox" }, { "wget" },  { "ip" },
	{ "interfaces" }, { "drops" }, { "procnet" }, { "names" }, { "audit" },
#endif
};

// Where splitsock's programs are: $SPLITSOCK_BIN, else beside this one.
static const char *binaries(void)
{
	static char dir[PATH_MAX];
	const char *given = getenv("SPLITSOCK_BIN");
	if (given)
		return given;
	ssize_t n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
	char *slash = n > 0 ? strrchr(dir, '/') : NULL;
	if (slash)
		*slash = 0;
	return slash ? dir : "build/bin";
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 20 * 1000 * 1000 }, NULL);
}

// --- the scripts ------------------------------------------------------------------------------------------------

// Ends every process that this one has adopted (all descend from the script), and counts those that
// did not end by themselves within three seconds.
static int end_orphans(void)
{
	int killed = 0;
	for (double began = now(); now() < began + 8; nap()) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		char path[64], line[4096] = "";
		snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
		FILE *f = fopen(path, "r");
		if (f && !fgets(line, sizeof(line), f))
			line[0] = 0;
		if (f)
			fclose(f);
		char *save = NULL, *word = strtok_r(line, " \n", &save);
		if (!word)
			break;
		for (; word && now() > began + 3; word = strtok_r(NULL, " \n", &save))
			killed += kill((pid_t)atoi(word), SIGKILL) == 0;
	}
	return killed;
}

static void show(FILE *output)
{
	static char text[OUTPUT_SHOWN + 1];
	fseek(output, 0, SEEK_END);
	long size = ftell(output);
	fseek(output, size > OUTPUT_SHOWN ? size - OUTPUT_SHOWN : 0, SEEK_SET);
	text[fread(text, 1, OUTPUT_SHOWN, output)] = 0;
	fprintf(stderr, "%s%s", text, size > 0 && text[strlen(text) - 1] != '\n' ? "\n" : "");
}

// Waits for the script for its time; -1 when that is over. Orphans are reaped on the way.
static int wait_script(pid_t script)
{
	double end = now() + SCRIPT_SECONDS;
	while (now() < end) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);
		if (pid == script)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		if (pid <= 0)
			nap();
	}
	return -1;
}

ParameterizedTestParameters(programs, script)
{
	return cr_make_param_array(struct program, programs, sizeof(programs) / sizeof(programs[0]));
}

ParameterizedTest(struct program *p, programs, script, .timeout = SCRIPT_SECONDS + 15)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/%s.sh", PROGRAMS_DIR, p->name);
	FILE *output = tmpfile();
	cr_assert_not_null(output);
	cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);

	double began = now();
	pid_t script = fork();
	cr_assert_geq(script, 0);
	if (script == 0) {
		setpgid(0, 0);
		dup2(fileno(output), STDOUT_FILENO);
		dup2(fileno(output), STDERR_FILENO);
		// criterion's own descriptors are not the programs' business
		for (int fd = 3; fd < 256; fd++)
			close(fd);
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		signal(SIGPIPE, SIG_DFL);
		execl("/bin/bash", "bash", path, (char *)NULL);
		_exit(127);
	}
	int status = wait_script(script);
	if (status < 0)
		kill(-script, SIGTERM), nap(), nap();
	int left = end_orphans();

	if (status != 0)
		show(output);
	cr_assert_neq(status, -1, "%s was not done after %d s", p->name, SCRIPT_SECONDS);
	cr_assert_eq(status, 0, "%s ended with %d", p->name, status);
	cr_expect_eq(left, 0, "%s left %d processes behind", p->name, left);
	fprintf(stderr, "%-10s %.1f s\n", p->name, now() - began);
}

// --- the gofer they share -----------------------------------------------------------------------------------------

static pid_t gofer;
static char gofer_dir[] = "/tmp/splitsock-programs.XXXXXX";
static char gofer_socket[sizeof(gofer_dir) + 16];

static int answers(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	strncpy(a.sun_path, gofer_socket, sizeof(a.sun_path) - 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ok = fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

static int start_gofer(void)
{
	char program[PATH_MAX], url[sizeof(gofer_socket) + 8];
	if (!mkdtemp(gofer_dir) || chmod(gofer_dir, 0755) < 0)
		return -1;
	snprintf(program, sizeof(program), "%s/splitsock-gofer", binaries());
	snprintf(gofer_socket, sizeof(gofer_socket), "%s/gofer.sock", gofer_dir);
	snprintf(url, sizeof(url), "ipc://%s", gofer_socket);
	gofer = fork();
	if (gofer == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execl(program, program, "--listen", url, "--policy", "open", (char *)NULL);
		perror(program);
		_exit(127);
	}
	for (int i = 0; gofer > 0 && i < 250; i++) {
		if (answers())
			return setenv("SPLITSOCK_TEST_GOFER", url, 1);
		if (waitpid(gofer, NULL, WNOHANG) == gofer)
			break;
		nap();
	}
	return -1;
}

static void stop_gofer(void)
{
	if (gofer <= 0)
		return;
	kill(gofer, SIGTERM);
	int i;
	for (i = 0; i < 150 && waitpid(gofer, NULL, WNOHANG) == 0; i++)
		nap();
	if (i == 150) {
		fprintf(stderr, "the gofer did not end on SIGTERM\n");
		kill(gofer, SIGKILL);
		waitpid(gofer, NULL, 0);
	}
	// The gofer removes its files, unless it was killed.
	static const char *const left[] = { "", ".stream", ".seqpacket", ".ctl", ".lock" };
	char path[sizeof(gofer_socket) + 16];
	for (size_t n = 0; n < sizeof(left) / sizeof(left[0]); n++) {
		snprintf(path, sizeof(path), "%s%s", gofer_socket, left[n]);
		unlink(path);
	}
	rmdir(gofer_dir);
}

// Only the parent comes through here. Criterion finds main by name to put its workers elsewhere, so it must be exported.
__attribute__((visibility("default"))) int main(int argc, char **argv)
{
	struct criterion_test_set *tests = criterion_initialize();
	if (!criterion_handle_args(argc, argv, true)) {
		criterion_finalize(tests);
		return 0;
	}
	char run[2 * PATH_MAX], dir[PATH_MAX];
	if (!realpath(binaries(), dir)) {
		perror(binaries());
		return 1;
	}
	setenv("SPLITSOCK_BIN", dir, 1);
	const char *prefix = getenv("SPLITSOCK_TEST_RUN");
	if (!prefix) {
		if (!getenv("SPLITSOCK_TEST_GOFER") && start_gofer() < 0) {
			fprintf(stderr, "test-programs: cannot start %s/splitsock-gofer\n", dir);
			stop_gofer();
			return 1;
		}
		snprintf(run, sizeof(run), "%s/splitsock-run --isolate --gofer %s --", dir, getenv("SPLITSOCK_TEST_GOFER"));
		prefix = run;
	}
	setenv("RUN", prefix, 1);
	int failed = !criterion_run_all_tests(tests);
	criterion_finalize(tests);
	stop_gofer();
	return failed;
}
