/*
 * That folders are trust zones: who may include whom, read from the sources themselves.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct {
	const char *folder, *may_include; /* each with a space after it */
} zones[] = {
	{"common", "common/ "},
	{"proto", "proto/ common/ "},
	{"gofer", "gofer/ proto/ common/ "},
	{"sentry_side", "sentry_side/ proto/ common/ "},
};

/* Why this line of a file in `folder` breaks the rules, or NULL. */
static const char *
wrong_with(const char *folder, const char *may_include, const char *file, const char *line)
{
	char name[256], zone[256];
	const char *slash;

	while (*line == ' ' || *line == '\t')
		line++;
	if (*line++ != '#')
		return NULL;
	while (*line == ' ' || *line == '\t')
		line++;
	if (sscanf(line, "include \"%255[^\"]\"", name) != 1 && sscanf(line, "include <%255[^>]>", name) != 1)
		return NULL;
	if (strstr(name, ".pb-c.h") && strcmp(folder, "proto") != 0)
		return "generated headers are for proto/ alone; others include proto/codec.h";
	if (strstr(name, "protobuf-c") && strcmp(folder, "proto") != 0)
		return "protobuf-c is called in proto/ alone";
	if (strstr(name, "nng/") == name && (strcmp(folder, "proto") == 0 || strcmp(folder, "common") == 0))
		return "NNG is for the two ends";
	if (strstr(line, "include \"") != line)
		return strstr(name, "gofer/") == name || strstr(name, "sentry_side/") == name ? "own headers are included with quotes" : NULL;
	/* An example is what a user writes. */
	if (strstr(file, "/examples/"))
		return strcmp(name, "splitsock.h") == 0 ? NULL : "an example includes the public header alone";
	slash = strchr(name, '/');
	if (!slash || name[0] == '.')
		return "includes carry the folder";
	snprintf(zone, sizeof zone, "%.*s ", (int)(slash - name + 1), name);
	return strstr(may_include, zone) ? NULL : "this folder may not include that one";
}

static int files;

static void
check_file(const char *folder, const char *may_include, const char *path)
{
	FILE *file = fopen(path, "re");
	char line[1024];

	cr_assert_not_null(file, "%s", path);
	files++;
	for (int number = 1; fgets(line, sizeof line, file); number++) {
		const char *wrong = wrong_with(folder, may_include, path, line);

		line[strcspn(line, "\n")] = 0;
		cr_expect_null(wrong, "%s:%d: %s: %s", path + strlen(SOURCE_DIR) + 1, number, line, wrong);
	}
	fclose(file);
}

static void
check_folder(const char *folder, const char *may_include, const char *path)
{
	DIR *directory = opendir(path);

	cr_assert_not_null(directory, "%s", path);
	for (struct dirent *entry; (entry = readdir(directory));) {
		char child[4096];
		struct stat st;
		const char *dot = strrchr(entry->d_name, '.');

		if (entry->d_name[0] == '.')
			continue;
		snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
		if (stat(child, &st) == 0 && S_ISDIR(st.st_mode))
			check_folder(folder, may_include, child);
		else if (dot && (strcmp(dot, ".c") == 0 || strcmp(dot, ".h") == 0))
			check_file(folder, may_include, child);
	}
	closedir(directory);
}

Test(layers, nobody_includes_what_is_not_theirs)
{
	for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
		char path[4096];
		int before = files;

		snprintf(path, sizeof path, "%s/%s", SOURCE_DIR, zones[i].folder);
		check_folder(zones[i].folder, zones[i].may_include, path);
		cr_assert_gt(files, before, "%s/ has sources", zones[i].folder);
	}
}

/* The public header is all that an installed program has. */
Test(layers, the_public_header_stands_alone)
{
	FILE *file = fopen(SOURCE_DIR "/sentry_side/splitsock.h", "re");
	char line[1024];

	cr_assert_not_null(file);
	while (fgets(line, sizeof line, file))
		cr_expect(strncmp(line, "#include \"", 10) != 0, "%s", line);
	fclose(file);
}

/* That the check can fail. */
Test(layers, breaches_are_found)
{
	cr_assert_not_null(wrong_with("gofer", zones[2].may_include, "gofer/x.c", "#include \"sentry_side/link.h\"\n"));
	cr_assert_not_null(wrong_with("sentry_side", zones[3].may_include, "sentry_side/x.c", "#include \"gofer/sock.h\"\n"));
	cr_assert_not_null(wrong_with("sentry_side", zones[3].may_include, "sentry_side/x.c", "  #  include \"gofer/sock.h\"\n"));
	cr_assert_not_null(wrong_with("sentry_side", zones[3].may_include, "sentry_side/x.c", "#include <gofer/sock.h>\n"));
	cr_assert_not_null(wrong_with("gofer", zones[2].may_include, "gofer/x.c", "#include \"../sentry_side/link.h\"\n"));
	cr_assert_not_null(wrong_with("gofer", zones[2].may_include, "gofer/x.c", "#include \"sock.h\"\n"));
	cr_assert_not_null(wrong_with("gofer", zones[2].may_include, "gofer/x.c", "#include \"proto/splitsock.pb-c.h\"\n"));
	cr_assert_not_null(wrong_with("common", zones[0].may_include, "common/x.c", "#include \"proto/frame.h\"\n"));
	cr_assert_not_null(wrong_with("proto", zones[1].may_include, "proto/x.c", "#include <nng/nng.h>\n"));
	cr_assert_null(wrong_with("gofer", zones[2].may_include, "gofer/x.c", "#include \"proto/codec.h\"\n"));
	cr_assert_null(wrong_with("proto", zones[1].may_include, "proto/x.c", "#include \"proto/splitsock.pb-c.h\"\n"));
	cr_assert_null(wrong_with("gofer", zones[2].may_include, "gofer/x.c", "#include <stdio.h>\n"));
}
