/* A queue for gcd.c where the system has none: the calls of libdispatch that the library makes,
 * over poll(2). It runs one handler at a time, in the thread that runs the queue. */
#ifndef DISPATCH_H
#define DISPATCH_H

#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

typedef void (*handler)(void *);
struct source {
    const int *kind;
    uintptr_t handle;
    void *context;
    handler on_event, on_cancel;
    uint64_t due;
    unsigned long data;
    int resumed, cancelled, released;
};
struct queue {
    struct source *sources[8];
    int count, freed;
};

extern const int _dispatch_source_type_read, _dispatch_source_type_timer;
extern const int _dispatch_source_type_data_or;
const int _dispatch_source_type_read = 1, _dispatch_source_type_timer = 2;
const int _dispatch_source_type_data_or = 3;

uint64_t dispatch_time(uint64_t when, int64_t delta) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return when + (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec + (uint64_t) delta;
}

struct source *dispatch_source_create(const int *kind, uintptr_t handle, unsigned long mask,
    struct queue *queue) {
    (void) mask;
    if (queue->count == 8) return NULL;
    struct source *source = (struct source *) calloc(1, sizeof *source);
    source->kind = kind;
    source->handle = handle;
    source->due = UINT64_MAX;
    return queue->sources[queue->count++] = source;
}

void dispatch_set_context(struct source *s, void *context) { s->context = context; }
void dispatch_source_set_event_handler_f(struct source *s, handler f) { s->on_event = f; }
void dispatch_source_set_cancel_handler_f(struct source *s, handler f) { s->on_cancel = f; }
void dispatch_source_merge_data(struct source *s, unsigned long value) { s->data |= value; }
void dispatch_source_cancel(struct source *s) { s->cancelled = 1; }
void dispatch_resume(struct source *s) { s->resumed = 1; }
void dispatch_release(struct source *s) {
    /* As the system does, which ends a program that releases what it has not resumed. */
    if (!s->resumed) abort();
    s->released = 1;
}
void dispatch_source_set_timer(struct source *s, uint64_t start, uint64_t interval,
    uint64_t leeway) {
    (void) interval; (void) leeway;
    s->due = start;
}

/* Whether a source has something; a timer and data then have it no more. */
static int take(struct source *s) {
    if (s->kind == &_dispatch_source_type_read) {
        struct pollfd one = {(int) s->handle, POLLIN, 0};
        return poll(&one, 1, 0) > 0;
    }
    if (s->kind == &_dispatch_source_type_timer) {
        int is_due = s->due <= dispatch_time(0, 0);
        if (is_due) s->due = UINT64_MAX;
        return is_due;
    }
    int has_data = s->data != 0;
    s->data = 0;
    return has_data;
}

/* Runs what is ready of a queue, for so many milliseconds or until `*done`. */
static void run_queue(struct queue *queue, int millis, const int *done) {
    uint64_t end = dispatch_time(0, (int64_t) millis * 1000000);
    while (!*done && dispatch_time(0, 0) < end) {
        for (int i = 0; i < queue->count; i++) {
            struct source *s = queue->sources[i];
            if (s->cancelled) {
                if (s->on_cancel) s->on_cancel(s->context);
                s->on_cancel = NULL;
                if (s->released) {
                    free(s);
                    queue->freed++;
                    queue->sources[i--] = queue->sources[--queue->count];
                }
            } else if (s->resumed && take(s)) {
                s->on_event(s->context);
            }
        }
        struct timespec pause = {0, 200000};
        nanosleep(&pause, NULL);
    }
}

#endif
