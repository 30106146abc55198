/* title.h - what ps shows */
#ifndef REEVE_BACKEND_UTILS_TITLE_H
#define REEVE_BACKEND_UTILS_TITLE_H

/* Once, first thing in main(): moves the environment away from the argument area. Returns argv to use from now on. */
char **title_init(int argc, char **argv);
/* "reeved: " and the text. Without title_init() it only sets the thread's name. */
void title_set(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
