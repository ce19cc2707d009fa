#include <errno.h>
#include <string.h>

#include "sentry_side/link.h"
#include "sentry_side/splitsock.h"

/* One who waits. There is no way to leave early, so it lives on the stack. */
struct asked {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done, host;
	int error;
	uint64_t *values;
};

static void
on_reply(void *arg, size_t count, Splitsock__Result **results, int error)
{
	struct asked *asked = arg;

	if (!error)
		error = result_errno(results[count - 1]);
	if (!error && !results[count - 1]->counters)
		error = EPROTO;
	pthread_mutex_lock(&asked->lock);
	if (!error) {
		counters_from_message(asked->values, results[count - 1]->counters);
		asked->host = results[count - 1]->counters->host;
	}
	asked->error = error;
	asked->done = true;
	pthread_cond_signal(&asked->changed);
	pthread_mutex_unlock(&asked->lock);
}

/* Fills the session's values, and the host's, if they are wanted and granted: *host. Returns 0 or a positive errno. */
static int
ask(struct session *session, bool with_host, uint64_t *values, bool *host)
{
	Splitsock__Stats stats = SPLITSOCK__STATS__INIT;
	Splitsock__Op op = SPLITSOCK__OP__INIT, *ops = &op;
	Splitsock__Request request = SPLITSOCK__REQUEST__INIT;
	struct asked asked = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .values = values};
	int error;

	if (!(session->features & FEATURE_STATS))
		return EOPNOTSUPP;
	op.op_case = SPLITSOCK__OP__OP_STATS;
	op.stats = &stats;
	stats.host = with_host;
	request.ops = &ops;
	request.n_ops = 1;
	error = session_call(session, &request, on_reply, &asked, NULL);
	if (error)
		return -error;
	pthread_mutex_lock(&asked.lock);
	while (!asked.done)
		pthread_cond_wait(&asked.changed, &asked.lock);
	pthread_mutex_unlock(&asked.lock);
	pthread_cond_destroy(&asked.changed);
	pthread_mutex_destroy(&asked.lock);
	*host = asked.host;
	return asked.error;
}

static unsigned
scope_of(const struct counter *counter)
{
	switch (counter->scope) {
	case COUNTER_HOST:
		return SS_STATS_HOST;
	case COUNTER_SESSION:
		return SS_STATS_SESSION;
	case COUNTER_CLIENT:
		return SS_STATS_LIBRARY;
	default:
		return 0; /* the gofer's as a whole: none of a client's business */
	}
}

int
ss_stats(struct ss *ss, unsigned scopes, struct ss_stat *stats, size_t room)
{
	uint64_t values[COUNTER_COUNT] = {0}, library[COUNTERS_CLIENT_COUNT];
	bool host = false;
	size_t count = 0;
	int error = 0;

	if (!scopes || (scopes & ~(SS_STATS_HOST | SS_STATS_SESSION | SS_STATS_LIBRARY))) {
		errno = EINVAL;
		return -1;
	}
	for (int i = 0; i < COUNTERS_CLIENT_COUNT; i++)
		library[i] = atomic_load_explicit(&ss->session.counted[i], memory_order_relaxed);
	if (scopes & (SS_STATS_HOST | SS_STATS_SESSION))
		error = ask(&ss->session, scopes & SS_STATS_HOST, values, &host);
	if (error) {
		errno = error;
		return -1;
	}
	memcpy(values + COUNTERS_CLIENT_FIRST, library, sizeof library);
	for (int id = 0; id < COUNTER_COUNT; id++) {
		const struct counter *counter = &counters[id];
		unsigned scope = scope_of(counter);

		if (!(scope & scopes) || (scope == SS_STATS_HOST && !host))
			continue;
		if (count < room)
			stats[count] = (struct ss_stat){
				.name = counter->name,
				.labels = counter->labels,
				.unit = counter->unit,
				.help = counter->help,
				.scope = scope,
				.gauge = counter->kind == COUNTER_GAUGE,
				.value = values[id],
			};
		count++;
	}
	return (int)count;
}
