/* Timers and the two timeouts of a socket: never early, and nothing forgotten. */
#include "harness.h"
#include <time.h>

static double start, before_wait;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

/* Whether so many seconds have passed, but for what rounding to microseconds takes, and not much
 * more, where that is much on a machine with much to do. */
static int have_passed(double seconds) {
    double passed = now() - start;
    return passed >= seconds - 0.00001 && passed < seconds + 10;
}

/* What is set inside of a callback counts from the time of the running iteration, which is not
 * before its wait. */
static void note_before_wait(void) { before_wait = now(); }

static int count;
static Timer *kept;

static void three_times(Timer *timer) {
    if (++count == 3) {
        SAY("three times, in time %d", have_passed(0.06));
        us_timer_close(timer);
    }
}

static void never(Timer *timer) {
    (void) timer;
    SAY("a timer fired that should not");
}

static void once(Timer *timer) {
    SAY("once, in time %d, on its loop %d, with its data %d", have_passed(0.05),
        us_timer_loop(timer) == loop, *(int *) us_timer_ext(timer));
    us_timer_close(timer);
}

static void again(Timer *timer) {
    if (++count < 3) us_timer_set(timer, again, 10, 0);
    else us_timer_close(timer);
}

static void close_others(Timer *timer) {
    SAY("a timer closes another that is due: %d", kept != NULL);
    us_timer_close(timer);
    if (kept) us_timer_close(kept);
    kept = NULL;
}

static int order[100], fired;

static void note(Timer *timer) {
    order[fired++] = *(int *) us_timer_ext(timer);
    us_timer_close(timer);
}

/* Within one iteration, in which time stands still. */
static void many(Timer *first) {
    us_timer_close(first);
    for (int i = 0; i < 100; i++) {
        Timer *timer = us_create_timer(loop, 0, sizeof(int));
        *(int *) us_timer_ext(timer) = i * 37 % 100;
        us_timer_set(timer, note, 10 + i * 37 % 100, 0);
        /* Armed anew, earlier and later. */
        if (i % 3 == 0) us_timer_set(timer, note, 150, 0);
        if (i % 3 == 0) us_timer_set(timer, note, 10 + i * 37 % 100, 0);
    }
}

static Socket *short_one(Socket *s) {
    SAY("on_timeout of the %s after its second: %d", side(s), have_passed(1));
    us_socket_long_timeout(0, s, 0);
    close_everything();
    return s;
}

static Socket *set_both(Socket *s, int is_client) {
    if (is_client) return s;
    /* Put off, disarmed, brought forward: the last word counts. */
    us_socket_timeout(0, s, 100);
    us_socket_timeout(0, s, 0);
    us_socket_timeout(0, s, 961);
    us_socket_long_timeout(0, s, 240);
    us_socket_timeout(0, s, 1);
    us_socket_timeout(0, s, 0);
    us_socket_timeout(0, s, 1);
    start = before_wait;
    return s;
}

static Socket *twice(Socket *s) {
    count++;
    SAY("on_timeout %d: %d", count, have_passed(count));
    if (count < 2) us_socket_timeout(0, s, 1);
    else close_everything();
    return s;
}

static Socket *set_short(Socket *s, int is_client) {
    if (!is_client) us_socket_timeout(0, s, 1);
    return s;
}

static Socket *disarm_later(Socket *s, int is_client) {
    if (!is_client) us_socket_timeout(0, s, 1);
    return s;
}

/* At the end of the iteration, before it can be due. */
static void disarm(void) {
    if (server[0]) us_socket_timeout(0, server[0], 0);
}

static Socket *unwanted(Socket *s) {
    SAY("a timeout fired that was disarmed");
    return s;
}

static void end_all(Timer *timer) {
    us_timer_close(timer);
    close_everything();
    server[0] = NULL;
}

static Timer *fallthrough[5];

/* The loop has sockets and a timer that counts. */
static Socket *close_fallthrough(Socket *s, int is_client) {
    if (is_client) return s;
    for (int i = 0; i < 5; i++) fallthrough[i] = us_create_timer(loop, 1, 0);
    for (int i = 0; i < 5; i++) us_timer_close(fallthrough[i]);
    return s;
}

static void close_listener(Timer *timer) {
    us_timer_close(timer);
    SAY("still running, open %u", us_loop_statistics(loop).open);
    close_everything();
}

static Context *third;

/* Nothing is in it any more. */
static Socket *free_third(Socket *s) {
    if (third) us_socket_context_free(0, third);
    third = NULL;
    SAY("on_timeout %d", ++count);
    us_socket_context_adopt_socket(0, second, s, sizeof(struct data));
    if (count == 2) close_everything();
    return s;
}

int main(void) {
    begin("a timer that repeats", 0);
    us_listen_socket_close(0, listener);
    start = now(); count = 0;
    us_timer_set(us_create_timer(loop, 0, 0), three_times, 20, 20);
    finish();
    begin("a timer with data", 0);
    us_listen_socket_close(0, listener);
    start = now();
    Timer *timer = us_create_timer(loop, 0, sizeof(int));
    *(int *) us_timer_ext(timer) = 5;
    us_timer_set(timer, once, 50, 0);
    finish();
    begin("a timer that arms itself", 0);
    us_listen_socket_close(0, listener);
    count = 0;
    after(10, again);
    finish();
    SAY("%d times", count);
    begin("timers that close one another", 0);
    us_listen_socket_close(0, listener);
    after(20, close_others);
    kept = us_create_timer(loop, 0, 0);
    us_timer_set(kept, never, 20, 0);
    finish();
    begin("a fallthrough timer keeps nothing", 0);
    us_listen_socket_close(0, listener);
    timer = us_create_timer(loop, 1, 0);
    us_timer_set(timer, never, 2000, 0);
    us_loop_run(loop);
    us_timer_close(timer);
    finish();
    /* (W9) */
    begin("fallthrough timers that are closed end nothing", 1);
    on.open = close_fallthrough;
    after(50, close_listener);
    finish();
    begin("a hundred timers, in order", 0);
    us_listen_socket_close(0, listener);
    after(5, many);
    finish();
    int sorted = fired == 100;
    for (int i = 1; i < fired; i++) sorted &= order[i - 1] <= order[i];
    SAY("%d fired, sorted %d", fired, sorted);
    /* (W13) */
    begin("a timeout, whatever it was before", 1);
    on.open = set_both; on.pre = note_before_wait; on.timeout = short_one;
    finish();
    /* (W13) */
    begin("a timeout from on_timeout", 1);
    start = now(); count = 0;
    on.open = set_short; on.timeout = twice;
    finish();
    begin("a timeout disarmed", 1);
    server[0] = NULL;
    on.open = disarm_later; on.post = disarm; on.timeout = unwanted;
    after(1500, end_all);
    finish();
    /* (W30) */
    begin("a context freed by a timeout, among others that are due", 2);
    count = 0;
    on.open = set_short; on.timeout = free_third;
    third = us_create_child_socket_context(0, context, 64);
    finish();
    /* (W32) */
    begin("a listener has none", 0);
    us_socket_timeout(0, (Socket *) listener, 1);
    us_socket_long_timeout(0, (Socket *) listener, 1);
    after(10, end_all);
    finish();
    return 0;
}
/* Prints:
-- a timer that repeats
three times, in time 1
opened 0 and 0, closed 0
-- a timer with data
once, in time 1, on its loop 1, with its data 5
opened 0 and 0, closed 0
-- a timer that arms itself
opened 0 and 0, closed 0
3 times
-- timers that close one another
a timer closes another that is due: 1
opened 0 and 0, closed 0
-- a fallthrough timer keeps nothing
opened 0 and 0, closed 0
-- fallthrough timers that are closed end nothing
still running, open 2
opened 1 and 1, closed 2
-- a hundred timers, in order
opened 0 and 0, closed 0
100 fired, sorted 1
-- a timeout, whatever it was before
on_timeout of the server after its second: 1
opened 1 and 1, closed 2
-- a timeout from on_timeout
on_timeout 1: 1
on_timeout 2: 1
opened 1 and 1, closed 2
-- a timeout disarmed
opened 1 and 1, closed 2
-- a context freed by a timeout, among others that are due
on_timeout 1
on_timeout 2
opened 2 and 2, closed 4
-- a listener has none
opened 0 and 0, closed 0
*/
