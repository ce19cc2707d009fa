#ifndef TESTS_UNIT_FOREIGN_H
#define TESTS_UNIT_FOREIGN_H

#include <stdio.h>

/* See foreign.c. */
void foreign_print(FILE *file);

#endif
