/*
 * What `make install` installs: it is installed once, under a DESTDIR, and then used as a program outside the tree uses it.
 */
#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROOT "SPLITSOCK_TEST_INSTALL" /* names the directory for Criterion's workers, which are processes of their own */

/*
 * Runs a shell script in a directory of its own, with $DEST set; on failure its output is shown. `none` fails if grep finds something
 * (a command after "!" would not).
 */
static bool
sh(const char *script)
{
	char *command;
	static char output[20000];
	FILE *out;
	size_t len;
	int status;

	if (asprintf(&command,
	             "exec 2>&1; set -eu; cd $(mktemp -d $" ROOT "/work.XXXXXX); DEST=$" ROOT "/dest\n"
	             "none() { if grep \"$@\"; then echo \"unexpected: $*\"; exit 1; fi; }\n%s",
	             script) < 0)
		return false;
	out = popen(command, "re");
	free(command);
	if (!out)
		return false;
	len = fread(output, 1, sizeof output - 1, out);
	output[len] = 0;
	while (getc(out) != EOF)
		;
	status = pclose(out);
	if (status)
		fprintf(stderr, "%s\nends with status %#x:\n%s\n", script, status, output);
	return status == 0;
}

#define CHECK(script) cr_assert(sh script, "see the script and its output above")

/* A program outside the tree. Its own functions have names that the library uses inside, too. */
#define PROGRAM \
	"cat >program.c <<'END'\n" \
	"#include <errno.h>\n" \
	"#include <stdio.h>\n" \
	"#include <string.h>\n" \
	"#include <splitsock.h>\n" \
	"int table_find(void); int session_open(void); int log_line(void); int wire_errno(void); int link_socket(void); int frame_parse(void);\n" \
	"int table_find(void) { return 1; }\n" \
	"int session_open(void) { return 2; }\n" \
	"int log_line(void) { return 3; }\n" \
	"int wire_errno(void) { return 4; }\n" \
	"int link_socket(void) { return 5; }\n" \
	"int frame_parse(void) { return 6; }\n" \
	"int main(void)\n" \
	"{\n" \
	"	struct ss *ss = ss_open(\"ipc:///tmp/splitsock-nowhere/gofer.sock\");\n" \
	"	printf(\"%s %s %d\\n\", ss_version(), ss ? \"open\" : strerror(errno),\n" \
	"	       table_find() + session_open() + log_line() + wire_errno() + link_socket() + frame_parse());\n" \
	"	return ss != NULL;\n" \
	"}\n" \
	"END\n"

#define EXPECT "test \"$got\" = '" SPLITSOCK_VERSION " Connection refused 21' || { echo \"got $got\"; exit 1; }\n"

/* What pkg-config needs to know of a DESTDIR. */
#define PKG "export PKG_CONFIG_SYSROOT_DIR=$DEST PKG_CONFIG_LIBDIR=$DEST/usr/$LIB/pkgconfig\n"
#define LIB "LIB=lib; [ -d $DEST/usr/lib/pkgconfig ] || LIB=lib/$(gcc -print-multiarch)\n"

Test(install, everything_is_there, .timeout = 60)
{
	CHECK((LIB
	             "for f in bin/splitsock-run bin/splitsock-ctl sbin/splitsock-gofer include/splitsock.h $LIB/libsplitsock.a $LIB/libsplitsock.so $LIB/libsplitsock.so.0\n"
	             "do test -s $DEST/usr/$f || { echo \"$f is missing\"; exit 1; }; done\n"
	             "test \"$(ls $DEST)\" = usr\n"
	             /* Every manual page that there is. */
	             "for f in " SOURCE_DIR "/deploy/man/*.[1-8]; do [ -e $f ] || continue\n"
	             "test -s $DEST/usr/share/man/man${f##*.}/${f##*/} || { echo \"$f is not installed\"; exit 1; }; done\n"));
}

Test(install, nothing_names_the_build_tree, .timeout = 60)
{
	CHECK(("none -rlI -e " SOURCE_DIR " -e " BUILD_DIR " -e $DEST $DEST\n"
	             "for f in $DEST/usr/bin/* $DEST/usr/sbin/* $DEST/usr/lib*/*.so $DEST/usr/lib/*/*.so; do [ -e $f ] || continue\n"
	             "readelf -d $f | none -e RPATH -e RUNPATH; done\n"));
}

Test(install, installed_programs_run, .timeout = 60)
{
	CHECK(("test \"$($DEST/usr/sbin/splitsock-gofer --version)\" = 'splitsock-gofer " SPLITSOCK_VERSION "'\n"
	             "test \"$($DEST/usr/bin/splitsock-ctl --version)\" = 'splitsock-ctl " SPLITSOCK_VERSION "'\n"
	             "$DEST/usr/bin/splitsock-run -- true\n"));
}

Test(install, a_program_by_pkg_config_shared, .timeout = 60)
{
	CHECK((LIB PKG PROGRAM "test \"$(pkg-config --modversion splitsock)\" = " SPLITSOCK_VERSION "\n"
	             "gcc -Wall -Werror -o program program.c $(pkg-config --cflags --libs splitsock)\n"
	             "readelf -d program | grep -q 'NEEDED.*libsplitsock.so.0'\n"
	             /* The program itself needs nothing that only the library uses. */
	             "readelf -d program | none -e NEEDED.*nng -e NEEDED.*protobuf -e NEEDED.*mbed\n"
	             "got=$(LD_LIBRARY_PATH=$DEST/usr/$LIB ./program)\n" EXPECT));
}

Test(install, a_program_by_pkg_config_static, .timeout = 60)
{
	/* glibc warns of getaddrinfo in a static program. */
	CHECK((LIB PKG PROGRAM
	             "gcc -Wall -Werror -static -o program program.c $(pkg-config --static --cflags --libs splitsock) 2>warnings || { cat warnings; exit 1; }\n"
	             "readelf -d program | none NEEDED\n"
	             "got=$(./program)\n" EXPECT));
}

Test(install, a_program_with_the_library_alone_static, .timeout = 60)
{
	CHECK((LIB PROGRAM "gcc -Wall -Werror -I$DEST/usr/include -o program program.c $DEST/usr/$LIB/libsplitsock.a -lnng -lprotobuf-c -pthread\n"
	             "readelf -d program | none libsplitsock\n"
	             "got=$(./program)\n" EXPECT));
}

#define CMAKELISTS(target) \
	"cat >CMakeLists.txt <<'END'\n" \
	"cmake_minimum_required(VERSION 3.25)\n" \
	"project(outside C)\n" \
	"find_package(splitsock " SPLITSOCK_VERSION " REQUIRED)\n" \
	"add_executable(program program.c)\n" \
	"target_link_libraries(program PRIVATE " target ")\n" \
	"END\n"

Test(install, a_program_by_cmake_shared, .timeout = 120)
{
	CHECK((LIB PROGRAM CMAKELISTS("splitsock::splitsock")
	             "cmake -S . -B out -DCMAKE_PREFIX_PATH=$DEST/usr >log || { cat log; exit 1; }\n"
	             "cmake --build out >log || { cat log; exit 1; }\n"
	             "readelf -d out/program | grep -q 'NEEDED.*libsplitsock.so.0'\n"
	             "got=$(out/program)\n" EXPECT));
}

/* NNG's and protobuf-c's development files are for a static link. */
Test(install, a_program_by_cmake_shared_where_nng_is_not_installed, .timeout = 120)
{
	CHECK((LIB PROGRAM CMAKELISTS("splitsock::splitsock")
	             "cmake -S . -B out -DCMAKE_PREFIX_PATH=$DEST/usr -DCMAKE_DISABLE_FIND_PACKAGE_nng=ON -DCMAKE_DISABLE_FIND_PACKAGE_PkgConfig=ON >log || { cat log; exit 1; }\n"
	             "cmake --build out >log || { cat log; exit 1; }\n"
	             "got=$(out/program)\n" EXPECT));
}

Test(install, a_program_by_cmake_static, .timeout = 120)
{
	CHECK((LIB PROGRAM CMAKELISTS("splitsock::splitsock-static")
	             "cmake -S . -B out -DCMAKE_PREFIX_PATH=$DEST/usr >log || { cat log; exit 1; }\n"
	             "cmake --build out >log || { cat log; exit 1; }\n"
	             "readelf -d out/program | none libsplitsock\n"
	             "got=$(out/program)\n" EXPECT));
}

Test(install, another_minor_version_is_refused, .timeout = 120)
{
	CHECK((PROGRAM CMAKELISTS("splitsock::splitsock") "sed -i 's/splitsock " SPLITSOCK_VERSION " REQ/splitsock 0.99 REQ/' CMakeLists.txt\n"
	             "if cmake -S . -B out -DCMAKE_PREFIX_PATH=$DEST/usr >log 2>&1; then exit 1; fi\n"
	             "grep -q 'version \"0.99\"\\|requested version' log\n"));
}

/* ---- systemd ------------------------------------------------------------------------------------- */

#define UNITS "mkdir units; cp $DEST/usr/lib/systemd/system/splitsock-gofer.* units; sed -i \"s,/usr/sbin,$DEST/usr/sbin,\" units/*.service\n"

Test(install, the_units_are_well_formed, .timeout = 60)
{
	CHECK((UNITS "systemd-analyze verify --man=no ./units/splitsock-gofer.service ./units/splitsock-gofer.socket >said 2>&1 || { cat said; exit 1; }\n"
	             "none . said\n"
	             "for conf in $DEST/usr/share/doc/splitsock/splitsock-gofer.service.d/*.conf; do\n"
	             "    mkdir -p units/splitsock-gofer.service.d; cp $conf units/splitsock-gofer.service.d\n"
	             "    systemd-analyze verify --man=no ./units/splitsock-gofer.service >said 2>&1; none . said\n"
	             "done\n"));
}

Test(install, the_unit_exposes_no_more_than_1_5, .timeout = 60)
{
	CHECK((UNITS "systemd-analyze security --offline=true --threshold=15 --no-pager ./units/splitsock-gofer.service >said || { cat said; exit 1; }\n"
	             "grep -q 'Overall exposure level' said\n"
	             /* The question can be answered with no. */
	             "sed -i s/^PrivateTmp=yes/PrivateTmp=no/ units/splitsock-gofer.service\n"
	             "if systemd-analyze security --offline=true --threshold=15 ./units/splitsock-gofer.service >said; then cat said; exit 1; fi\n"));
}

Test(install, the_units_under_systemd, .timeout = 120)
{
	CHECK((SOURCE_DIR "/tests/library/systemd.sh $DEST\n"));
}

/* ---- names --------------------------------------------------------------------------------------- */

/* Those that splitsock.h declares. */
#define DECLARED "sed -n 's/^SS_API.*[ *]\\(ss_[a-z0-9_]*\\)(.*/\\1/p' $DEST/usr/include/splitsock.h | sort >declared; test -s declared\n"

Test(install, the_shared_library_exports_its_api_alone, .timeout = 60)
{
	CHECK((LIB DECLARED "nm -D --defined-only $DEST/usr/$LIB/libsplitsock.so | awk '{ print $NF }' | sort >exported\n"
	             "diff declared exported\n"));
}

Test(install, the_archive_defines_its_api_alone, .timeout = 60)
{
	CHECK((LIB DECLARED "nm -g --defined-only $DEST/usr/$LIB/libsplitsock.a | awk 'NF == 3 { print $NF }' | sort >defined\n"
	             "diff declared defined\n"));
}

Test(install, the_header_is_c99_and_alone, .timeout = 60)
{
	CHECK(("echo '#include <splitsock.h>' >header.c\n"
	             "for std in c99 c11 gnu17; do gcc -std=$std -D_POSIX_C_SOURCE=200809L -pedantic -Wall -Wextra -Werror -I$DEST/usr/include -fsyntax-only header.c; done\n"));
}

/* Only the parent comes through here. Criterion finds main by name to put its workers elsewhere, so it must be exported. */
__attribute__((visibility("default"))) int
main(int argc, char **argv)
{
	struct criterion_test_set *tests = criterion_initialize();
	char root[] = "/tmp/splitsock-install.XXXXXX";
	int failed = 1;

	unsetenv("MAKEFLAGS");
	unsetenv("MFLAGS");
	unsetenv("MAKELEVEL");
	unsetenv("LD_LIBRARY_PATH");
	if (!criterion_handle_args(argc, argv, true)) {
		criterion_finalize(tests);
		return 0;
	}
	if (!mkdtemp(root)) {
		perror(root);
		return 1;
	}
	setenv(ROOT, root, 1);
	if (sh("make -C " SOURCE_DIR " install BUILD=" BUILD_DIR " DESTDIR=$DEST PREFIX=/usr >log || { cat log; exit 1; }"))
		failed = !criterion_run_all_tests(tests);
	criterion_finalize(tests);
	{
		char command[sizeof root + 16];

		snprintf(command, sizeof command, "rm -rf %s", root);
		if (system(command))
			perror(command);
	}
	return failed;
}
