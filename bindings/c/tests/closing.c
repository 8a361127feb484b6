/* Closing from everywhere: other sockets, all of a context, from timers and wake-ups. */
#include "harness.h"
#include <pthread.h>

static const char *where = "outside";

static Socket *trace(Socket *s, int code, void *reason) {
    SAY("on_close of %s %d: code %d, reason %s, %s; closed %d, a write takes %d", side(s),
        data_of(s)->number, code, reason ? (char *) reason : "none", where,
        us_socket_is_closed(0, s), us_socket_write(0, s, "x", 1, 0));
    us_socket_close(0, s, 9, (void *) "once more");
    return s;
}

static Socket *write_when_both(Socket *s, int is_client) {
    (void) is_client;
    if (servers == 2 && clients == 2) us_socket_write(0, client[0], "hello", 5, 0);
    return s;
}

static Socket *close_other_and_self(Socket *s, char *d, int n) {
    (void) d; (void) n;
    if (data_of(s)->is_client) return s;
    on.close = trace;
    Socket *other = server[data_of(s)->number ^ 1];
    where = "inside of the call about the other";
    us_socket_close(0, other, 5, (void *) "text");
    SAY("the other is closed: %d", us_socket_is_closed(0, other));
    where = "inside of its own call";
    Socket *result = us_socket_close(0, s, 6, (void *) "self");
    SAY("closing returns what on_close returned: %d", result == s);
    us_listen_socket_close(0, listener);
    on.close = NULL;
    return s;
}

static Socket *close_all(Socket *s, char *d, int n) {
    (void) d; (void) n;
    int before = closes;
    close_everything();
    SAY("closed at once: %d, this one too: %d", closes - before, us_socket_is_closed(0, s));
    return s;
}

static Socket *close_sibling(Socket *s, int code, void *reason) {
    (void) code; (void) reason;
    if (!data_of(s)->is_client) us_socket_close(0, server[data_of(s)->number ^ 1], 0, 0);
    return s;
}

static void close_by_timer(Timer *timer) {
    int before = closes;
    us_socket_close(0, server[0], 1, 0);
    SAY("by a timer: %d", closes - before);
    us_timer_close(timer);
}

static void close_by_wake_up(void) {
    int before = closes;
    close_everything();
    SAY("by a wake-up: %d", closes - before);
}

static void *wake(void *l) {
    us_wakeup_loop((struct us_loop_t *) l);
    return NULL;
}

static pthread_t thread;

static void then_wake(Timer *timer) {
    us_timer_close(timer);
    pthread_create(&thread, NULL, wake, loop);
}

static Socket *start_timers(Socket *s, int is_client) {
    (void) is_client;
    if (servers == 2 && clients == 2) {
        after(10, close_by_timer);
        after(60, then_wake);
    }
    return s;
}

static Socket *close_in_open(Socket *s, int is_client) {
    if (is_client) return s;
    us_listen_socket_close(0, listener);
    return us_socket_close(0, s, 3, 0);
}

static void close_in_pre(void) {
    if (clients && servers && !closes) close_everything();
}

static void close_in_post(void) {
    if (clients && servers && !closes) close_everything();
}

int main(void) {
    /* (W16) */
    begin("another socket, and oneself", 2);
    on.open = write_when_both; on.data = close_other_and_self;
    finish();
    begin("all of a context", 2);
    on.open = write_when_both; on.data = close_all;
    finish();
    /* (W10) */
    begin("all, while on_close closes siblings", 2);
    on.open = write_when_both; on.data = close_all; on.close = close_sibling;
    finish();
    begin("by timers and wake-ups", 2);
    on.open = start_timers; on.wake = close_by_wake_up;
    finish();
    pthread_join(thread, NULL);
    begin("in on_open", 1);
    on.open = close_in_open;
    finish();
    begin("before the wait", 1);
    on.pre = close_in_pre;
    finish();
    begin("after the calls", 1);
    on.post = close_in_post;
    finish();
    begin("before the loop ever ran", 1);
    close_everything();
    finish();
    /* (W10) */
    begin("while it connects", 1);
    us_listen_socket_close(0, listener);
    us_socket_context_close(0, context);
    finish();
    return 0;
}
/* Prints:
-- another socket, and oneself
on_close of server 1: code 5, reason text, inside of the call about the other; closed 1, a write takes 0
the other is closed: 1
on_close of server 0: code 6, reason self, inside of its own call; closed 1, a write takes 0
closing returns what on_close returned: 1
opened 2 and 2, closed 4
-- all of a context
closed at once: 4, this one too: 1
opened 2 and 2, closed 4
-- all, while on_close closes siblings
closed at once: 4, this one too: 1
opened 2 and 2, closed 4
-- by timers and wake-ups
by a timer: 1
by a wake-up: 2
opened 2 and 2, closed 4
-- in on_open
opened 1 and 1, closed 2
-- before the wait
opened 1 and 1, closed 2
-- after the calls
opened 1 and 1, closed 2
-- before the loop ever ran
opened 0 and 0, closed 0
-- while it connects
opened 0 and 0, closed 0
*/
