#include "tests/bench/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

struct spread {
	double median, least, most; /* NaN if there is no figure */
};

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct spread
spread_of(const double *values, int count)
{
	double sorted[ROUNDS_MAX];
	int n = 0;

	for (int i = 0; i < count; i++)
		if (!isnan(values[i]))
			sorted[n++] = values[i];
	if (n == 0)
		return (struct spread){ NAN, NAN, NAN };
	qsort(sorted, (size_t)n, sizeof *sorted, compare);
	return (struct spread){ (sorted[(n - 1) / 2] + sorted[n / 2]) / 2, sorted[0], sorted[n - 1] };
}

/* The ratio is taken within each round, where both ran next to each other; so a machine that drifts does not tilt it. */
static struct spread
ratio_of(const struct row *row, enum way way)
{
	double ratios[ROUNDS_MAX];

	for (int i = 0; i < ROUNDS_MAX; i++)
		ratios[i] = row->value[way][i] / row->value[WAY_DIRECT][i];
	return spread_of(ratios, ROUNDS_MAX);
}

void
row_clear(struct row *row)
{
	for (int way = 0; way < WAY_COUNT; way++)
		for (int i = 0; i < ROUNDS_MAX; i++)
			row->value[way][i] = NAN;
}

double
row_median(const struct row *row, enum way way)
{
	return spread_of(row->value[way], ROUNDS_MAX).median;
}

/* 1, 0, or -1: there is no aim, or no figure */
static int
aim_met(const struct row *row)
{
	double value = row->aim_kind == AIM_VALUE_AT_MOST ? row_median(row, WAY_SPLITSOCK) : ratio_of(row, WAY_SPLITSOCK).median;

	if (row->aim_kind == AIM_NONE || isnan(value))
		return -1;
	return row->aim_kind == AIM_RATIO_AT_LEAST ? value >= row->aim : value <= row->aim;
}

static void
print_figure(FILE *out, int width, double value)
{
	if (isnan(value))
		fprintf(out, "  %*s", width, "-");
	else
		fprintf(out, "  %*.*f", width, fabs(value) < 1000 ? 1 : 0, value);
}

static void
print_ratio(FILE *out, double ratio)
{
	if (isnan(ratio))
		fprintf(out, "  %6s", "-");
	else
		fprintf(out, "  %5.2fx", ratio);
}

static void
print_row(const struct row *row, FILE *out)
{
	struct spread ratio = ratio_of(row, WAY_SPLITSOCK);
	char range[32] = "-", aim[32] = "-";
	int met = aim_met(row);

	if (!isnan(ratio.median))
		snprintf(range, sizeof range, "%.2f-%.2f", ratio.least, ratio.most);
	if (row->aim_kind == AIM_VALUE_AT_MOST)
		snprintf(aim, sizeof aim, "<= %g", row->aim);
	else if (row->aim_kind != AIM_NONE)
		snprintf(aim, sizeof aim, "%s %.2fx", row->aim_kind == AIM_RATIO_AT_MOST ? "<=" : ">=", row->aim);
	fprintf(out, "%-20s  %-4s", row->name, row->unit);
	print_figure(out, 9, row_median(row, WAY_DIRECT));
	print_figure(out, 9, row_median(row, WAY_SPLITSOCK));
	print_ratio(out, ratio.median);
	fprintf(out, "  %-11s  %-8s  %-3s", range, aim, met < 0 ? "-" : met ? "yes" : "no");
	print_figure(out, 9, row_median(row, WAY_PASTA));
	print_ratio(out, ratio_of(row, WAY_PASTA).median);
	fprintf(out, "  %s\n", row->what);
}

void
report_table(const struct report *report, FILE *out)
{
	fprintf(out, "%-20s  %-4s  %9s  %9s  %6s  %-11s  %-8s  %-3s  %9s  %6s\n", "measure", "unit", "direct", "splitsock", "ratio",
	        "range", "aim", "met", "pasta", "ratio");
	for (int i = 0; i < report->row_count; i++)
		print_row(&report->rows[i], out);
	fprintf(out, "\nmedians of %d rounds of %g s, the ways one after another in each; ratio: to direct, median over the rounds\n",
	        report->rounds, report->seconds);
	fputs("round trips and tcp-connect: load and peer each on a CPU of its own; 1cpu: all that takes part on one CPU\n", out);
	if (report->bench->prefix_len > 0)
		fprintf(out, "splitsock stands for SPLITSOCK_BENCH_RUN (%s) here\n", report->bench->prefix[0]);
	for (int way = 0; way < WAY_COUNT; way++)
		if (!report->bench->usable[way])
			fprintf(out, "without %s: %s\n", way_names[way], report->bench->why_not[way]);
	for (int i = 0; i < report->row_count; i++)
		for (int way = 0; way < WAY_COUNT; way++)
			if (report->rows[i].failed[way])
				fprintf(out, "%s, %s: failed %d times: %s\n", report->rows[i].name, way_names[way],
				        report->rows[i].failed[way], report->rows[i].why[way]);
}

static void
json_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c >= 0x7f) /* what programs say on standard error may be in any encoding */
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void
json_number(FILE *out, double value)
{
	if (isfinite(value))
		fprintf(out, "%.6g", value);
	else
		fputs("null", out);
}

static void
json_spread(FILE *out, const char *name, struct spread spread)
{
	fprintf(out, "\"%s\":{\"median\":", name);
	json_number(out, spread.median);
	fputs(",\"min\":", out);
	json_number(out, spread.least);
	fputs(",\"max\":", out);
	json_number(out, spread.most);
	fputc('}', out);
}

static void
json_way(const struct row *row, int rounds, enum way way, FILE *out)
{
	fprintf(out, ",\n   \"%s\":{\"median\":", way_names[way]);
	json_number(out, row_median(row, way));
	fputs(",\"rounds\":[", out);
	for (int i = 0; i < rounds; i++) {
		fputs(i ? "," : "", out);
		json_number(out, row->value[way][i]);
	}
	fputc(']', out);
	if (row->failed[way]) {
		fprintf(out, ",\"failed\":%d,\"why\":", row->failed[way]);
		json_string(out, row->why[way]);
	}
	if (way != WAY_DIRECT) {
		fputc(',', out);
		json_spread(out, "ratio", ratio_of(row, way));
	}
	fputc('}', out);
}

static void
json_row(const struct row *row, int rounds, FILE *out)
{
	static const char *const kinds[] = {
		[AIM_RATIO_AT_MOST] = "ratio_at_most",
		[AIM_RATIO_AT_LEAST] = "ratio_at_least",
		[AIM_VALUE_AT_MOST] = "value_at_most",
	};
	int met = aim_met(row);

	fputs("  {\"name\":", out);
	json_string(out, row->name);
	fputs(",\"unit\":", out);
	json_string(out, row->unit);
	fputs(",\"what\":", out);
	json_string(out, row->what);
	if (row->aim_kind != AIM_NONE) {
		fprintf(out, ",\"aim\":{\"%s\":", kinds[row->aim_kind]);
		json_number(out, row->aim);
		fprintf(out, "},\"met\":%s", met < 0 ? "null" : met ? "true" : "false");
	}
	for (int way = 0; way < WAY_COUNT; way++)
		json_way(row, rounds, way, out);
	fputc('}', out);
}

void
report_json(const struct report *report, FILE *out)
{
	struct utsname host;

	fputs("{\"kernel\":", out);
	json_string(out, uname(&host) == 0 ? host.release : "");
	fprintf(out, ",\"cpus\":%ld,\"splitsock\":", sysconf(_SC_NPROCESSORS_ONLN));
	json_string(out, SPLITSOCK_VERSION);
	fprintf(out, ",\"rounds\":%d,\"seconds\":", report->rounds);
	json_number(out, report->seconds);
	fputs(",\n \"override\":", out);
	if (report->bench->prefix_len > 0)
		json_string(out, report->bench->prefix[0]);
	else
		fputs("null", out);
	fputs(",\n \"missing\":{", out);
	for (int way = 0, n = 0; way < WAY_COUNT; way++) {
		if (report->bench->usable[way])
			continue;
		fprintf(out, "%s\"%s\":", n++ ? "," : "", way_names[way]);
		json_string(out, report->bench->why_not[way]);
	}
	fputs("},\n \"measures\":[\n", out);
	for (int i = 0; i < report->row_count; i++) {
		fputs(i ? ",\n" : "", out);
		json_row(&report->rows[i], report->rounds, out);
	}
	fputs("]}\n", out);
}
