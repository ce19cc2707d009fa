/*
 * One line a message on standard error, with the priority in front as sd-daemon(3) defines it when the output goes to
 * the journal, and the program's name otherwise.
 */
#ifndef SPLITSOCK_COMMON_LOG_H
#define SPLITSOCK_COMMON_LOG_H

#include <syslog.h>

void log_open(const char *program);
void log_line(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)

#endif
