/* What splitsock-ctl asks. */
#ifndef SPLITSOCK_TESTS_FAULTS_QUESTION_H
#define SPLITSOCK_TESTS_FAULTS_QUESTION_H

enum question { QUESTION_STATUS, QUESTION_SESSIONS, QUESTION_SOCKETS, QUESTION_STATS, QUESTIONS };

/*
 * Asks the gofer whose control socket this is. Returns how many sessions, or sockets, its answer has; -1: it ended without an answer; -2: neither
 * came in time.
 */
int ask_gofer(const char *gofer_path, enum question question);

#endif
